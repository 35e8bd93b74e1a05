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


#: Round 1000 of quicknet, as the tests of many of its clients have it.
EARLY = bytes.fromhex("b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39")
#: Another chain by the same scheme, and its round 38, as the tests of drand's client for JavaScript have them.
WALKTHROUGH = Chain(
    chain="af8b6fc95693b058a3a59efe586eb31c2c352fe00cf40c62a427d87c34f7a235",
    scheme=QUICKNET.scheme,
    public_key=(
        "81d320f220ee9c79e60e19dedc838c31e3ab919b15481e9feb52f643628c4f6a13fdc52129493875a818109d767272ca"
        "0541cbcdcea9335f2870d781b39b845ba8cbd44fdfe4967781cf72ca5917fc9398bcf97ca0548ed5a709016c4b1ff0f3"
    ),
    genesis=1687506816,
    period=3,
)
ROUND_38 = bytes.fromhex("95c93585c513ebbcb4777ff15599b3140e5ec0295faa0e483f3deadd88fa6d43f0d3703e3a4ce106e8fd6c6987f32126")


@pytest.mark.parametrize(
    ("chain", "round", "signature", "randomness"),
    [
        (QUICKNET, ROUND, SIGNATURE, RANDOMNESS),
        (QUICKNET, 1000, EARLY, "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"),
        (WALKTHROUGH, 38, ROUND_38, "b2fc21325a24904a6a9e81a6c63f65f6cec3f0b2400df3f4a56b214770e9ccca"),
    ],
)
def test_a_published_round_of_drand_is_verified(chain, round, signature, randomness):
    assert chain.verify(round, signature).hex() == randomness
    assert hashlib.sha256(signature).hexdigest() == randomness


@pytest.mark.parametrize(
    ("round", "signature"),
    [
        (ROUND, EARLY),
        (38, ROUND_38),
        (ROUND + 1, SIGNATURE),
        (ROUND, SIGNATURE[:-1] + bytes([SIGNATURE[-1] ^ 1])),
        (ROUND, SIGNATURE[:-1]),
        (ROUND, b""),
        (ROUND, bytes(48)),
        (2**64, SIGNATURE),
    ],
)
def test_anything_else_is_refused(round, signature):
    with pytest.raises(BadSignature, match=f"not the signature of round {round}"):
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
