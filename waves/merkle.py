"""The Merkle tree of RFC 6962, section 2.1, over millions of lines: its root in one pass, and a proof for any of them.

Kept of a tree are the hashes of its subtrees of `BLOCK` leaves: a proof is made from these and the lines of one block.
"""

import hashlib
from collections.abc import Iterable, Sequence

#: Leaves of a subtree that is kept: a power of two.
BLOCK = 4096


def leaf(line: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + line).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf; it holds one hash per block, and a few dozen more."""

    def __init__(self) -> None:
        self.size = 0
        self._blocks: list[bytes] = []
        self._leaves: list[bytes] = []

    def add(self, lines: Iterable[bytes]) -> None:
        """Add these lines' leaves."""
        sha256, leaves = hashlib.sha256, self._leaves
        for line in lines:
            leaves.append(sha256(b"\x00" + line).digest())
            if len(leaves) == BLOCK:
                self._blocks.append(root(leaves))
                self.size += BLOCK
                leaves.clear()

    @property
    def count(self) -> int:
        return self.size + len(self._leaves)

    @property
    def blocks(self) -> list[bytes]:
        """The roots of the subtrees of `BLOCK` leaves; the last one may have fewer."""
        return self._blocks + ([root(self._leaves)] if self._leaves else [])

    def root(self) -> bytes:
        """The root over all leaves so far, of which there must be one."""
        return root(self.blocks)


def root(hashes: Sequence[bytes]) -> bytes:
    """The root of the tree over these hashes: of leaves, or of full subtrees of one size, of which the last may be smaller.

    The left side of every node is the largest power of two that is smaller than the whole; level by level, that is pairing neighbours
    and handing up whoever is left over.
    """
    level = list(hashes)
    while len(level) > 1:
        above = [node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = above + level[len(above) * 2 :]
    return level[0]


def path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings on the way up from the hash at this index, as RFC 6962, section 2.1.1, lists them."""
    level, siblings = list(hashes), []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            siblings.append(level[sibling])
        above = [node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        level = above + level[len(above) * 2 :]
        index //= 2
    return siblings


def proof(blocks: Sequence[bytes], lines: Sequence[bytes], index: int) -> list[bytes]:
    """The proof for the line at this index of the list: `blocks` as the tree kept them, `lines` those of its block."""
    block, within = divmod(index, BLOCK)
    return path([leaf(line) for line in lines], within) + path(blocks, block)


def holds(line: bytes, index: int, count: int, siblings: Sequence[bytes], expected: bytes) -> bool:
    """Whether the line is the leaf at `index` of `count` under the root `expected`. Source: RFC 9162, section 2.1.3.2."""
    if not 0 <= index < count:
        return False
    here, last, found = index, count - 1, leaf(line)
    for sibling in siblings:
        if last == 0:
            return False
        if here & 1 or here == last:
            found = node(sibling, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node(found, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and found == expected
