"""All that the mock services were asked and answered: the oracle against which a rehearsal is judged.

Append-only: sums that never forget, the newest calls, and for each reference what was asked, what is true of it and what
was told. Of what was asked it keeps a keyed digest, whose key dies with the process: equal means equal, and no more.
"""

import json
import os
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]

#: How a call ended: as agreed; with nonsense; with a status other than 200; done, but the line was cut on purpose; answered
#: 400; answered as agreed, but nobody was there any more to hear it.
Ending = Literal["whole", "bent", "refused", "hung_up", "malformed", "lost"]

CALLS_KEPT = 10_000
REFERENCES_KEPT = 1_000_000


class Record(NamedTuple):
    """One record of a call."""

    reference: str
    #: Of what was asked.
    digest: str
    #: What the service says of it when it is well.
    truth: str
    #: Whether exactly that went out, in due form.
    told: bool


class Call(NamedTuple):
    service: str
    status: int
    ending: Ending
    above_quota: bool = False
    #: Whether the service did its work, whatever went out: then a message is on its way.
    done: bool = False
    records: Sequence[Record] = ()

    def unheard(self) -> "Call":
        """The same, with nobody there to hear the answer."""
        return self._replace(ending="lost", records=[record._replace(told=False) for record in self.records])


class _Text:
    """One thing that was asked under a reference."""

    __slots__ = ("asked", "digest", "done", "told", "truth")

    def __init__(self, digest: str, truth: str) -> None:
        self.digest, self.truth = digest, truth
        self.asked = self.done = self.told = 0


class _Receipts:
    """What was to become of one message, and what the receiver has taken note of."""

    __slots__ = ("acknowledged", "due", "truth")

    def __init__(self, truth: str, due: list[str]) -> None:
        self.truth, self.due = truth, due
        self.acknowledged: list[str] = []


class _Book:
    """One service's sums and references."""

    def __init__(self) -> None:
        self.calls = self.records = self.calls_above = self.records_above = self.forgotten = 0
        self.statuses: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        #: How many references were asked about, done, and had different texts so many times.
        self.asked_times: Counter[int] = Counter()
        self.done_times: Counter[int] = Counter()
        self.texts: Counter[int] = Counter()
        #: The text that was asked last comes last.
        self.references: dict[str, list[_Text]] = {}

    def enter(self, call: Call) -> None:
        self.calls += 1
        self.records += len(call.records)
        self.calls_above += call.above_quota
        self.records_above += call.above_quota * len(call.records)
        self.statuses[str(call.status)] += 1
        self.endings[call.ending] += 1
        self.answers.update(_answers(call))
        for record in call.records:
            texts = self.references.setdefault(record.reference, [])
            text = _text(texts, record)
            _moved(self.asked_times, sum(each.asked for each in texts))
            text.asked += 1
            text.told += record.told
            if call.done:
                _moved(self.done_times, sum(each.done for each in texts))
                text.done += 1
            if text.asked == 1:
                _moved(self.texts, len(texts) - 1)
        while len(self.references) > REFERENCES_KEPT:
            del self.references[next(iter(self.references))]
            self.forgotten += 1

    def take_back(self, call: Call) -> None:
        """What was entered as told was not heard."""
        unheard = call.unheard()
        self.endings.subtract([call.ending])
        self.endings.update([unheard.ending])
        self.answers.subtract(_answers(call))
        self.answers.update(_answers(unheard))
        for record in call.records:
            for text in self.references.get(record.reference, []):
                text.told -= record.told and text.digest == record.digest

    def as_json(self) -> Json:
        again = {name: sum((times - 1) * n for times, n in of.items()) for name, of in self._times().items()}
        return {
            "calls": self.calls,
            "records": self.records,
            "calls_by_status": _sorted(self.statuses),
            "calls_by_ending": _sorted(self.endings),
            "answers": _sorted(self.answers),
            "calls_above_quota": self.calls_above,
            "records_above_quota": self.records_above,
            "references": sum(self.asked_times.values()),
            "forgotten": self.forgotten,
            "asked_again": again["asked_times"],
            "done_again": again["done_times"],
            "with_several_texts": sum(n for texts, n in self.texts.items() if texts > 1),
            **{name: _sorted(of) for name, of in self._times().items()},
        }

    def _times(self) -> dict[str, Counter[int]]:
        return {"asked_times": self.asked_times, "done_times": self.done_times, "texts": self.texts}


class Ledger:
    """What was asked of and answered by these services. Shared by the server's threads.

    `file`: gets a line for each call, at once; it is only ever added to.
    """

    def __init__(self, services: Iterable[str], file: Path | None = None) -> None:
        self._key = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._books = {service: _Book() for service in services}
        self._newest: deque[Json] = deque(maxlen=CALLS_KEPT)
        self._calls = 0
        self._receipts: dict[str, _Receipts] = {}
        self._receipt_sums: Counter[str] = Counter()
        self._receipt_statuses: dict[str, Counter[str]] = {"true": Counter(), "replayed": Counter(), "forged": Counter()}
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if file else None
        self._unwritten = 0
        self._write({"began": _now()})

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def digest(self, parts: Sequence[str]) -> str:
        """Of what was asked: equal for equal parts, within the life of this ledger."""
        return blake2b("\0".join(parts).encode(), key=self._key, digest_size=8).hexdigest()

    # What was asked and answered

    def enter(self, call: Call) -> int:
        """Note a call that is about to be answered; its number."""
        with self._lock:
            self._calls += 1
            line = self._line(self._calls, call)
            self._newest.append(line)
            self._books[call.service].enter(call)
        self._write({**line, "of": [list(record) for record in call.records]})
        return int(line["call"])

    def take_back(self, number: int, call: Call) -> None:
        """The answer of this call did not get through."""
        with self._lock:
            self._books[call.service].take_back(call)
            for line in self._newest:
                if line["call"] == number:
                    line["ending"] = "lost"
        self._write({"lost": number, "s": self._seconds()})

    def _line(self, number: int, call: Call) -> Json:
        return {
            "call": number,
            "at": _now(),
            "s": self._seconds(),
            "service": call.service,
            "status": call.status,
            "ending": call.ending,
            "above_quota": call.above_quota,
            "done": call.done,
            "records": len(call.records),
        }

    # Receipts

    def plan_receipts(self, reference: str, truth: str, due: Sequence[str], sums: Iterable[str]) -> None:
        """What is to become of one message: its end, the receipts that will come of it, and what goes wrong with them."""
        with self._lock:
            self._receipts[reference] = _Receipts(truth, list(due))
            self._receipt_sums.update(["messages", truth, *sums])
            while len(self._receipts) > REFERENCES_KEPT:
                del self._receipts[next(iter(self._receipts))]

    def note_receipts(
        self, kind: str, webhook_id: str, attempt: int, status: int | None, receipts: Sequence[tuple[str, str]]
    ) -> None:
        """One call to the receiver, and its answer; None: there was none."""
        with self._lock:
            self._receipt_statuses[kind][str(status or "no answer")] += 1
            if kind == "true" and status is not None and 200 <= status < 300:
                self._receipt_sums["acknowledged"] += len(receipts)
                for reference, said in receipts:
                    if (known := self._receipts.get(reference)) and said not in known.acknowledged:
                        known.acknowledged.append(said)
        line = {"receipts": webhook_id, "at": _now(), "s": self._seconds(), "kind": kind, "attempt": attempt}
        self._write({**line, "status": status, "of": [list(receipt) for receipt in receipts]})

    def count_receipts(self, what: str, n: int = 1) -> None:
        with self._lock:
            self._receipt_sums[what] += n

    # What it says

    def summary(self) -> Json:
        with self._lock:
            return {
                "running_s": self._seconds(),
                "services": {service: book.as_json() for service, book in self._books.items()},
                "receipts": {
                    **_sorted(self._receipt_sums),
                    "calls": {kind: _sorted(statuses) for kind, statuses in self._receipt_statuses.items()},
                },
                "unwritten": self._unwritten,
            }

    def calls(self, *, after: int = 0) -> list[Json]:
        """The newest calls whose numbers are above `after`, oldest first."""
        with self._lock:
            return [dict(line) for line in self._newest if line["call"] > after]

    def references(self, service: str, only: str | None = None) -> Iterator[Json]:
        """For each reference what was asked, what is true and what was told; those asked about first come first."""
        with self._lock:
            texts = self._books[service].references
            found = list(texts.items()) if only is None else [(only, texts[only])] if only in texts else []
        for reference, of in found:
            with self._lock:
                line = _reference(reference, of)
                if service == "sms" and (receipts := self._receipts.get(reference)):
                    line["receipts"] = {
                        "truth": receipts.truth,
                        "due": receipts.due,
                        "acknowledged": list(receipts.acknowledged),
                    }
            yield line

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def _write(self, line: Json) -> None:
        if self._file is None:
            return
        content = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                # One write a line, unbuffered: whoever is killed leaves whole lines.
                written = self._file is not None and os.write(self._file, content) == len(content)
            except OSError:
                written = False
            self._unwritten += not written


def _answers(call: Call) -> Counter[str]:
    """Records by what was said of them: the word, or why there was none."""
    instead = str(call.status) if call.ending == "refused" else call.ending
    return Counter(record.truth if record.told else instead for record in call.records)


def _text(texts: list[_Text], record: Record) -> _Text:
    """The text that was asked, as the last of its reference."""
    if texts and texts[-1].digest == record.digest:
        return texts[-1]
    for text in texts:
        if text.digest == record.digest:
            texts.remove(text)
            break
    else:
        text = _Text(record.digest, record.truth)
    texts.append(text)
    return text


def _moved(times: Counter[int], before: int) -> None:
    """Something that had happened so many times to a reference happened again."""
    if before:
        times[before] -= 1
    times[before + 1] += 1


def _reference(reference: str, texts: Sequence[_Text]) -> Json:
    last = texts[-1]
    return {
        "reference": reference,
        "truth": last.truth,
        "told": last.truth if last.told else None,
        "asked": sum(text.asked for text in texts),
        "done": sum(text.done for text in texts),
        "answered": sum(text.told for text in texts),
        "texts": [{name: getattr(text, name) for name in ("digest", "truth", "asked", "done", "told")} for text in texts],
    }


def _sorted(counter: Counter[Any]) -> dict[str, int]:
    return {str(key): n for key, n in sorted(counter.items()) if n}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
