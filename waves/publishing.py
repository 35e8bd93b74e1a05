"""A draw's files, as `docs/draw.md` describes them: what anybody needs to run it again."""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from waves.draw import FORMAT, LINE, LIST_HEADER, PLACES, chain_of, secret_of, terms_of
from waves.models import Draw
from waves.screening import NotNow

RESULT_HEADER = b"rank,ticket,outcome\n"
#: Names all others, and is written after them: where it is right, they all are there.
SUMS = "SHA256SUMS"
FILES = ("tickets.csv", "result.csv", "draw.json", SUMS)

log = logging.getLogger(__name__)


def file(draw: Draw, name: str) -> Path:
    """Where the web serves this file of the draw from, once it is written.

    Named by its root as well: what an earlier database has left there is another draw's.
    """
    folder = f"gelombang-{draw.wave_id}-undian-{draw.attempt}-{bytes(draw.root).hex()[:8]}"
    return settings.PUBLISHED / folder / name


class Tampered(Exception):
    """What the database holds is not what was frozen and drawn."""


def are_written(draw: Draw, sums: bytes) -> bool:
    """Whether all files of the published draw, with these `sums`, lie where the web serves them from."""
    path = file(draw, SUMS)
    return path.exists() and path.read_bytes() == sums


def write_missing() -> None:
    """Write the files of all published draws where the web serves them from, if they are not there yet, or not up to date.

    Those of a draw that was tampered with are left out, or as they were; the log says so, each time.
    """
    for draw in Draw.objects.exclude(published_at=None):
        if not are_written(draw, sums(draw)):
            folder = file(draw, SUMS).parent
            try:
                if file(draw, SUMS).exists():
                    _write_annulment(draw, folder)
                else:
                    write(draw, folder)
            except Tampered as found:
                log.error("draw %s of wave %s: %s is not what was frozen and drawn", draw.attempt, draw.wave_id, found)


def _write_annulment(draw: Draw, folder: Path) -> None:
    """Say in the published files that the draw was annulled; nothing else changes them. Raises `Tampered`."""
    path, told = folder / "draw.json", as_json(draw)
    # As it is told already: killed before the hashes followed.
    published = path.exists() and path.read_bytes() in (_json(told), _json(told | {"annulled": None}))
    if not (draw.annulled_at and published):
        raise Tampered(SUMS)
    _put(path, lambda file: file.write(_json(told)))
    _put(folder / SUMS, lambda file: file.write(sums(draw)))


def write(draw: Draw, folder: Path) -> list[Path]:
    """Write the draw's files into a folder that is made if needed; return them.

    The first time the result's hash is noted with the draw. Raises `NotNow` when the draw is not published, and `Tampered`
    when what comes out is not what was frozen, or not what came out before.
    """
    if not draw.published_at:
        raise NotNow(_("The draw is not published."))
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / "tickets.csv", lambda file: write_tickets(draw, file), expected=draw.list_sha256)
    result = _put(folder / "result.csv", lambda file: write_result(draw, file), expected=draw.result_sha256)
    if draw.result_sha256 is None:
        draw.result_sha256 = result
        draw.save(update_fields=["result_sha256"])
    _put(folder / "draw.json", lambda file: file.write(_json(as_json(draw))))
    _put(folder / SUMS, lambda file: file.write(sums(draw)))
    return [folder / name for name in FILES]


def sums(draw: Draw) -> bytes:
    """`SHA256SUMS` of the published draw; empty until the result's hash is noted."""
    if draw.result_sha256 is None:
        return b""
    hashes = bytes(draw.list_sha256), bytes(draw.result_sha256), hashlib.sha256(_json(as_json(draw))).digest()
    return "".join(f"{sha256.hex()}  {name}\n" for sha256, name in zip(hashes, FILES, strict=False)).encode()


def _json(told: dict[str, Any]) -> bytes:
    return (json.dumps(told, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _put(path: Path, fill: Callable[[IO[bytes]], object], *, expected: bytes | memoryview | None = None) -> bytes:
    """Let the file appear, whole; return its SHA-256. Raises `Tampered` when another one was expected: it does not appear then."""
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        fill(file)
    with open(file.name, "rb") as written:
        sha256 = hashlib.file_digest(written, "sha256").digest()
    if expected is not None and sha256 != bytes(expected):
        os.unlink(file.name)
        raise Tampered(path.name)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return sha256


def write_tickets(draw: Draw, file: IO[bytes]) -> None:
    """`tickets.csv`: the list as it was frozen."""
    file.write(LIST_HEADER)
    _copy(f"SELECT {LINE} FROM waves_ticket WHERE draw_id = {draw.pk} ORDER BY position", file)


def write_result(draw: Draw, file: IO[bytes]) -> None:
    """`result.csv`: every ticket by rank, with what came of it."""
    file.write(RESULT_HEADER)
    _copy(
        f"""
        SELECT ordered.rank || ',' || lpad(to_hex(number), 15, '0') || ',' || coalesce('S' || place.room, 'R') FROM (
            SELECT block * {PLACES} + nth AS rank, position FROM waves_orderblock, unnest(positions) WITH ORDINALITY AS o (position, nth)
            WHERE draw_id = {draw.pk}
        ) ordered
        JOIN waves_ticket ticket ON ticket.draw_id = {draw.pk} AND ticket.position = ordered.position
        LEFT JOIN waves_place place ON place.draw_id = {draw.pk} AND place.position = ordered.position
        ORDER BY ordered.rank
        """,
        file,
    )


def _copy(select: str, file: IO[bytes]) -> None:
    with transaction.atomic(), connection.cursor() as cursor, cursor.db.wrap_database_errors:
        # Of all tickets: never one by one, however few the planner takes them for.
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.copy_expert(f"COPY ({select}) TO STDOUT", file)


def as_json(draw: Draw) -> dict[str, Any]:
    """`draw.json`, as far as the draw has come: what is not known yet, or not public, is None."""
    public = draw.published_at is not None
    return {
        "format": FORMAT,
        "wave": draw.wave_id,
        "attempt": draw.attempt,
        "quota": draw.quota,
        "household_cap": draw.household_cap,
        "rooms": draw.rooms,
        "tickets": draw.tickets,
        "list_sha256": _hex(draw.list_sha256),
        "root": _hex(draw.root),
        "terms": terms_of(draw).hex(),
        "frozen_at": _instant(draw.frozen_at),
        "committed_at": _instant(draw.committed_at),
        "drawn_at": _instant(draw.drawn_at),
        "commitment": _hex(draw.commitment),
        "secret": secret_of(draw).hex() if public else None,
        "seed": _hex(draw.seed) if public else None,
        "beacon": _beacon(draw) if draw.chain else None,
        "selected": draw.selected if public else None,
        "cut_offs": draw.cut_offs if public else None,
        "result_sha256": _hex(draw.result_sha256) if public else None,
        "annulled": {"at": _instant(draw.annulled_at), "reason": draw.annulled_because} if draw.annulled_at else None,
    }


def _beacon(draw: Draw) -> dict[str, Any]:
    signature = bytes(draw.signature) if draw.signature else None
    randomness = chain_of(draw).verify(draw.round or 0, signature).hex() if signature else None
    return {**(draw.chain or {}), "round": draw.round, "signature": _hex(signature), "randomness": randomness}


def _hex(data: bytes | memoryview | None) -> str | None:
    return None if data is None else bytes(data).hex()


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
