"""Calls to addresses that partners name lead to the public internet, end in time, and follow nobody."""

import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from partners import outside
from partners.outside import Undeliverable


@contextmanager
def listening(serve):
    """A server on this machine that treats each connection so; its port, and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    serve(connection, heard)

        threading.Thread(target=run, daemon=True).start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)


def received(connection):
    """All of what `post` sends."""
    found = b""
    while not found.endswith(b"{}") and (part := connection.recv(65536)):
        found += part
    return found


def answering(answer):
    def serve(connection, heard):
        heard.append(received(connection))
        connection.sendall(answer)

    return serve


OK = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


def post(url, **options):
    return outside.post(url, b"{}", {"X": "1"}, **{"sandbox": True, "seconds": 2.0} | options)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1:0:0:80ff:fffe",
    ],
)
def test_special_addresses_are_not_public(address):
    assert not outside.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "103.10.128.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"])
def test_others_are(address):
    assert outside.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://partner.example/hook",
        "ftp://partner.example/",
        "file:///etc/passwd",
        "gopher://partner.example/",
        "https://",
        "https:///path",
        "partner.example",
        "https://user:word@partner.example/",
        "https://partner.example/#part",
        "https://partner.example:99999/",
        "https://partner.example:x/",
        "https://partner.example/a b",
        "https://partner.example/\r\nX: 1",
        "https://[::1",
        "https://" + "a" * 64 + ".example/",
        "https://partner.example/" + "a" * 500,
        "",
    ],
)
def test_only_a_plain_address_over_https_is_taken(url):
    with pytest.raises(Undeliverable):
        outside.inspect(url, sandbox=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254"])
def test_a_private_address_is_refused_at_once(host):
    with pytest.raises(Undeliverable):
        outside.inspect(f"https://{host}/", sandbox=False)


def test_in_the_sandbox_this_machine_is_allowed_and_no_other():
    outside.inspect("http://127.0.0.1:9/", sandbox=True)
    for host in ("10.0.0.1", "169.254.169.254", "192.168.0.1"):
        with pytest.raises(Undeliverable):
            outside.inspect(f"http://{host}/", sandbox=True)


def test_a_name_with_one_private_address_among_others_is_not_called():
    with listening(answering(OK)) as (port, heard), pytest.raises(Undeliverable, match="not public"):
        outside.post(
            f"https://partner.example:{port}/", b"", {}, sandbox=False, resolver=lambda host, port: ["8.8.8.8", "127.0.0.1"]
        )
    assert heard == []


def test_a_name_that_changes_its_mind_is_called_at_the_address_that_was_looked_at():
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    with listening(answering(OK)) as (port, heard):
        status = post(f"http://rebinding.example:{port}/hook?a=1", resolver=lambda host, port: answers.pop(0))

    assert status == 204
    assert len(answers) == 1, "the name was asked for once"
    assert heard[0].startswith(b"POST /hook?a=1 HTTP/1.1\r\nHost: rebinding.example:")


def test_a_redirect_is_an_answer_and_not_followed():
    with listening(answering(b"HTTP/1.1 307 X\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")) as (
        port,
        heard,
    ):
        assert post(f"http://127.0.0.1:{port}/") == 307
    assert len(heard) == 1


def test_an_endless_answer_is_read_no_further_than_needed():
    def endless(connection, heard):
        heard.append(received(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with listening(endless) as (port, _):
        began = time.monotonic()
        assert post(f"http://127.0.0.1:{port}/") == 200
    assert time.monotonic() - began < 1.5


def dripping(first):
    def serve(connection, heard):
        received(connection)
        connection.sendall(first)
        while True:
            time.sleep(0.1)
            connection.sendall(b"a")

    return serve


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"])
def test_an_answer_that_drips_ends_in_time(first):
    with listening(dripping(first)) as (port, _):
        began = time.monotonic()
        with pytest.raises(Undeliverable, match="timeout"):
            post(f"http://127.0.0.1:{port}/", seconds=0.6)
    assert time.monotonic() - began < 2


def test_tls_changes_nothing_about_that(tmp_path):
    certificate, key = certified("partner.example", tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    here = {"tls": ssl.create_default_context(cafile=certificate), "resolver": lambda host, port: ["127.0.0.1"]}

    def encrypted(connection, heard):
        with server_side.wrap_socket(connection, server_side=True) as wrapped:
            dripping(b"HTTP/1.1 200 OK\r\nX: ")(wrapped, heard)

    for serve in (encrypted, lambda connection, heard: time.sleep(3)):
        with listening(serve) as (port, _):
            began = time.monotonic()
            with pytest.raises(Undeliverable, match="timeout"):
                post(f"https://partner.example:{port}/", seconds=0.6, **here)
        assert time.monotonic() - began < 2


def test_silence_nonsense_and_nobody_have_a_word_each():
    tls_wanted = pytest.raises(Undeliverable, match="tls")
    with listening(lambda connection, heard: time.sleep(1.5)) as (port, _), pytest.raises(Undeliverable, match="timeout"):
        post(f"http://127.0.0.1:{port}/", seconds=0.3)
    with listening(answering(b"SSH-2.0\r\n")) as (port, _), pytest.raises(Undeliverable, match="no answer"):
        post(f"http://127.0.0.1:{port}/")
    with listening(lambda connection, heard: None) as (port, _), pytest.raises(Undeliverable, match="no answer"):
        post(f"http://127.0.0.1:{port}/")
    with pytest.raises(Undeliverable, match="no connection"):
        post("http://127.0.0.1:1/")
    with pytest.raises(Undeliverable, match="unknown host"):
        post("http://nowhere.invalid/", resolver=_no_name)
    with listening(lambda connection, heard: (connection.recv(9), connection.sendall(OK))) as (port, _), tls_wanted:
        post(f"https://127.0.0.1:{port}/")


def _no_name(host, port):
    raise socket.gaierror


def test_the_certificate_must_be_of_the_name_and_not_of_the_address(tmp_path):
    certificate, key = certified("partner.example", tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=certificate)

    def serve(connection, heard):
        with server_side.wrap_socket(connection, server_side=True) as wrapped:
            answering(OK)(wrapped, heard)

    with listening(serve) as (port, _):
        here = {"tls": trusting, "resolver": lambda host, port: ["127.0.0.1"]}
        assert post(f"https://partner.example:{port}/", **here) == 204
        with pytest.raises(Undeliverable, match="tls"):
            post(f"https://other.example:{port}/", **here)


def certified(name, folder):
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
