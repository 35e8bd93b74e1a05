"""The Merkle tree, held against RFC 6962's own words."""

import random

import pytest

from waves import merkle


def tree_hash(lines):
    """Section 2.1, word by word."""
    if len(lines) == 1:
        return merkle.leaf(lines[0])
    split = 1
    while split * 2 < len(lines):
        split *= 2
    return merkle.node(tree_hash(lines[:split]), tree_hash(lines[split:]))


def audit_path(index, lines):
    """Section 2.1.1, word by word."""
    if len(lines) == 1:
        return []
    split = 1
    while split * 2 < len(lines):
        split *= 2
    if index < split:
        return [*audit_path(index, lines[:split]), tree_hash(lines[split:])]
    return [*audit_path(index - split, lines[split:]), tree_hash(lines[:split])]


def some_lines(count):
    return [b"line %d" % number for number in range(count)]


@pytest.mark.parametrize("count", [*range(1, 40), merkle.BLOCK - 1, merkle.BLOCK, merkle.BLOCK + 1, 3 * merkle.BLOCK + 5])
def test_the_root_is_that_of_the_rfc(count):
    tree, lines = merkle.Tree(), some_lines(count)
    for start in range(0, count, 7):
        tree.add(lines[start : start + 7])

    assert tree.count == count
    assert tree.root() == tree_hash(lines)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 33])
def test_a_path_is_that_of_the_rfc(count):
    lines = some_lines(count)
    leaves = [merkle.leaf(line) for line in lines]

    assert [merkle.path(leaves, index) for index in range(count)] == [audit_path(index, lines) for index in range(count)]


@pytest.mark.parametrize("count", [1, 5, merkle.BLOCK, merkle.BLOCK + 1, 2 * merkle.BLOCK, 2 * merkle.BLOCK + 77])
def test_a_proof_is_made_from_the_blocks_and_one_blocks_lines(count):
    tree, lines = merkle.Tree(), some_lines(count)
    tree.add(lines)

    for index in {0, count // 2, count - 1, min(count - 1, merkle.BLOCK)}:
        start = index // merkle.BLOCK * merkle.BLOCK
        path = merkle.proof(tree.blocks, lines[start : start + merkle.BLOCK], index)
        assert path == audit_path(index, lines)
        assert merkle.holds(lines[index], index, count, path, tree.root())


def test_a_proof_of_anything_else_does_not_hold():
    rng, lines = random.Random(1), some_lines(100)
    leaves, root = [merkle.leaf(line) for line in lines], tree_hash(lines)

    for _ in range(300):
        index = rng.randrange(100)
        path, line, count = merkle.path(leaves, index), lines[index], 100
        place = rng.randrange(len(path))
        match rng.randrange(5):
            case 0:
                line += b" "
            case 1:
                path[place] = merkle.leaf(path[place])
            case 2:
                del path[place]
            case 3:
                path.insert(place, path[place])
            case 4:
                index = (index + rng.randrange(1, 100)) % 100
        assert not merkle.holds(line, index, count, path, root)
