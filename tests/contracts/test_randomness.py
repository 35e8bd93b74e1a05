"""drand over HTTP: a round's signature, or none yet, or trouble. Nothing of what a relay says is believed before it is verified."""

import socketserver
import threading
from collections.abc import Iterator

import pytest

from foundation.services import Unavailable
from tests.contracts.conftest import http
from tests.waves.test_randomness import RANDOMNESS, ROUND, SIGNATURE
from waves.randomness import QUICKNET, BadSignature, Drand

GOOD = {"round": ROUND, "randomness": RANDOMNESS, "signature": SIGNATURE.hex()}


class Relay(socketserver.ThreadingTCPServer):
    """Answers every call with `answer`; None hangs up."""

    daemon_threads = True
    answer: bytes | None = None
    asked = ""


class _Answering(socketserver.StreamRequestHandler):
    server: Relay

    def handle(self) -> None:
        self.server.asked = self.rfile.readline().decode().split()[1]
        while self.rfile.readline().strip():
            pass
        if self.server.answer is not None:
            self.wfile.write(self.server.answer)


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def drand(relay: Relay) -> Drand:
    return Drand("http://{}:{}/".format(*relay.server_address[:2]))


def test_a_published_round_is_fetched_and_verified_without_the_relay(relay):
    relay.answer = http(GOOD)

    signature = drand(relay).signature(ROUND)

    assert signature == SIGNATURE
    assert QUICKNET.verify(ROUND, signature).hex() == RANDOMNESS
    assert relay.asked == f"/{QUICKNET.chain}/public/{ROUND}"


@pytest.mark.parametrize("status", ["404 Not Found", "425 Too Early"])
def test_a_round_that_is_not_out_yet_is_none(relay, status):
    relay.answer = http({"error": "not yet"}, status=status)

    assert drand(relay).signature(ROUND) is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        http(GOOD, status="500 Internal Server Error"),
        http(GOOD, status="302 Found", headers="Location: http://127.0.0.1:1/\r\n"),
        http(b"not JSON"),
        http([GOOD]),
        http({**GOOD, "round": ROUND + 1}),
        http({**GOOD, "signature": "xyz"}),
        http({**GOOD, "signature": None}),
        http({"round": ROUND}),
    ],
)
def test_trouble_is_trouble_and_never_a_signature(relay, answer):
    relay.answer = answer

    with pytest.raises(Unavailable):
        drand(relay).signature(ROUND)


def test_what_a_lying_relay_says_does_not_verify(relay):
    relay.answer = http({**GOOD, "signature": SIGNATURE[::-1].hex()})

    with pytest.raises(BadSignature):
        QUICKNET.verify(ROUND, drand(relay).signature(ROUND) or b"")
