"""Rounds of drand that were published, and of the mock beacon."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from registrations.regions import WIB
from waves.randomness import QUICKNET, BadSignature, Chain, MockBeacon

#: Round 657413 of quicknet, as the documentation of drand-verify has it.
ROUND = 657413
SIGNATURE = bytes.fromhex("b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b")
RANDOMNESS = "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587"


def test_a_published_round_of_drand_is_verified():
    assert QUICKNET.verify(ROUND, SIGNATURE).hex() == RANDOMNESS
    assert hashlib.sha256(SIGNATURE).hexdigest() == RANDOMNESS


@pytest.mark.parametrize(
    ("round", "signature"),
    [
        (ROUND + 1, SIGNATURE),
        (ROUND, SIGNATURE[:-1] + bytes([SIGNATURE[-1] ^ 1])),
        (ROUND, SIGNATURE[:-1]),
        (ROUND, b""),
        (ROUND, bytes(48)),
        (2**64, SIGNATURE),
    ],
)
def test_anything_else_is_refused(round, signature):
    with pytest.raises(BadSignature):
        QUICKNET.verify(round, signature)


def test_a_round_of_another_chain_is_refused():
    mock = MockBeacon()

    with pytest.raises(BadSignature):
        mock.chain.verify(ROUND, SIGNATURE)
    with pytest.raises(BadSignature):
        QUICKNET.verify(ROUND, mock.signature(ROUND))
    with pytest.raises(BadSignature):
        Chain("x", "no-such-scheme", QUICKNET.public_key, 0, 3).verify(ROUND, SIGNATURE)


def test_the_mock_beacon_signs_its_rounds_and_is_named_as_what_it_is():
    mock = MockBeacon()

    randomness = mock.chain.verify(7, mock.signature(7))

    assert randomness == hashlib.sha256(mock.signature(7)).digest()
    assert MockBeacon().signature(7) == mock.signature(7), "in every process"
    assert (mock.chain.is_public, QUICKNET.is_public) == (False, True)
    with pytest.raises(BadSignature):
        mock.chain.verify(8, mock.signature(7))


@pytest.mark.parametrize("chain", [QUICKNET, MockBeacon().chain])
@pytest.mark.parametrize("microseconds", [0, 1, 999_999])
def test_the_first_round_after_an_instant_is_published_later(chain, microseconds):
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)

    for seconds in range(70):
        instant = start + timedelta(seconds=seconds)
        round = chain.first_after(instant)
        assert chain.at(round - 1) <= instant < chain.at(round)


@pytest.mark.parametrize("chain", [QUICKNET, MockBeacon().chain])
def test_a_round_has_a_number_above_0_and_an_instant_that_a_calendar_knows(chain):
    last = chain.first_after(datetime(9999, 1, 1, tzinfo=UTC)) - 3

    assert chain.has(1)
    assert chain.has(last)
    assert chain.at(last).astimezone(WIB).year == 9999 or chain.at(last).year == 9998
    assert not any(map(chain.has, (-1, 0, last + 10, 10**11, 2**63, 10**40)))


def test_before_the_first_round_the_first_one_is_next():
    assert QUICKNET.first_after(datetime(2020, 1, 1, tzinfo=UTC)) == 1
