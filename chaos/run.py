"""One run of the programme on a rig, calm or not, and what is held against it afterwards."""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple

from django.conf import settings
from django.core.management import call_command
from django.db import Error, connection, transaction
from tqdm import tqdm

from chaos.rig import MISBEHAVING, MISBEHAVING_RECEIPTS, Rig
from foundation import mockworld, work
from foundation.email import Mail
from foundation.models import ServiceState, SetAside
from foundation.sms import Sms
from prakerja.simulation import drive, programme
from prakerja.simulation.drive import PIPELINE, Simulation
from prakerja.simulation.programme import Fate
from registrations import funnel
from registrations.models import EmailOwner, NikOwner, PhoneOwner, Registrant
from registrations.stages import DropOff, Stage
from verification.models import DeliveryState, OneTimeCode

RECOUNTS = 50
LOOK = 0.2
OUTAGE_SECONDS = 10.0
SMS_OUTAGE_SECONDS = 30.0
#: A run that does not come to its end.
LONGEST = 3600.0
#: Seconds after which all work is in other hands when its worker is gone.
GIVEN_BACK = 60.0

#: Kills for 5,000 people and for 100,000; in between, in proportion.
KILLS = {"worker": (20, 200), "broker": (4, 20), "database": (2, 12), "beat": (1, 5)}

#: Where everybody must stand in the end, and with which reason. Of two who register with one NIK, one is turned away.
ENDS: dict[Fate, tuple[Stage, DropOff]] = {
    Fate.VERIFIED: (Stage.PHONE_VERIFIED, DropOff.NONE),
    Fate.ATTEMPTS_USED_UP: (Stage.IDENTITY_VERIFIED, DropOff.ATTEMPTS_USED_UP),
    Fate.NUMBER_DEAD: (Stage.IDENTITY_VERIFIED, DropOff.NUMBER_DEAD),
    Fate.CODE_NEVER_TYPED: (Stage.IDENTITY_VERIFIED, DropOff.NONE),
    Fate.NIK_UNKNOWN: (Stage.EMAIL_VERIFIED, DropOff.NIK_UNKNOWN),
    Fate.KK_MISMATCH: (Stage.EMAIL_VERIFIED, DropOff.KK_MISMATCH),
    Fate.BIRTH_DATE_MISMATCH: (Stage.EMAIL_VERIFIED, DropOff.BIRTH_DATE_MISMATCH),
    Fate.MAILBOX_FULL: (Stage.REGISTERED, DropOff.MAILBOX_FULL),
    Fate.ADDRESS_UNKNOWN: (Stage.REGISTERED, DropOff.ADDRESS_UNKNOWN),
    Fate.MAIL_NEVER_OPENED: (Stage.REGISTERED, DropOff.NONE),
}
#: What the registry's word must have come to.
VERDICTS = {
    "nik_unknown": DropOff.NIK_UNKNOWN,
    "kk_mismatch": DropOff.KK_MISMATCH,
    "birth_date_mismatch": DropOff.BIRTH_DATE_MISMATCH,
}

#: What the report repeats of a mock service's own ledger.
_TOLD = ("calls", "records", "calls_by_ending", "asked_again")

Event = tuple[float, str, Callable[[], None]]


@dataclass
class Watch:
    """What is seen during a run."""

    recounts: int = 0
    differences: int = 0
    #: By queue, the most seconds that work was due and nobody took it, while its service let anybody ask.
    waits: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PIPELINE, 0.0))
    events: Counter[str] = field(default_factory=Counter)
    outages: float = 0.0
    #: Of Dukcapil's quota, the fewest records that were left.
    quota_left: float = inf


def live(rig: Rig, *, people: int, seed: int, batch: int, trouble: bool, kills: bool) -> dict[str, Any]:
    """Drive the programme to its end on this rig; the report, with the promises that were not kept as `broken`."""
    call_command("migrate", verbosity=0)
    _keep_count(rig.lease)
    rig.start()
    plans = programme.plan_registrants(people)
    simulation = drive.begin(plans, scale=Fraction(people, programme.REGISTERED), seed=seed, batch=batch)
    rng = random.Random(seed)
    watch, post = Watch(), Post(rig)
    events = sorted(
        [*(_outages(rig, watch) if trouble else ()), *(_kills(rig, rng, people) if kills else ())], key=itemgetter(0)
    )
    if trouble:
        rig.control({"dukcapil": MISBEHAVING, "sms": MISBEHAVING}, of=rig.mocks[:1])
        rig.control({"receipts": MISBEHAVING_RECEIPTS})
    start = time.monotonic()
    _drive(rig, simulation, post, batch, events, watch, start)
    wall = time.monotonic() - start
    rig.control({"all": None, "receipts": {"send_now": True}})
    acknowledged = _last_receipts(rig)
    report: dict[str, Any] = {
        "wall_s": wall,
        "per_s": people / wall,
        "downtime_s": {"servers": rig.down, "dukcapil": watch.outages},
        "kills": dict(watch.events),
        "recounts": watch.recounts,
        "quota": rig.rates["dukcapil"],
        "longest_wait_s": watch.waits,
    }
    return report | _judge(rig, simulation, watch, post, acknowledged)


def _keep_count(lease: float) -> None:
    """Have PostgreSQL itself write down every climb, and how long each parcel lay that a claim of somebody else's had left.

    A kill comes after the claim, so the time from claim to claim is never less than that from the kill.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [lease])


_COUNTS = """
CREATE TABLE chaos_climb (registrant bigint, stage smallint);
CREATE FUNCTION chaos_climb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_climb SELECT later.id, later.stage FROM later JOIN earlier USING (id) WHERE later.stage <> earlier.stage;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_climb AFTER UPDATE ON registrations_registrant
REFERENCING OLD TABLE AS earlier NEW TABLE AS later FOR EACH STATEMENT EXECUTE FUNCTION chaos_climb();

CREATE TABLE chaos_retaken (queue text, seconds float, people int);
CREATE FUNCTION chaos_retaken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_retaken VALUES
        (old.queue, extract(epoch FROM clock_timestamp() - old.due_at) + %s, cardinality(old.subjects));
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_retaken AFTER UPDATE ON foundation_work
FOR EACH ROW WHEN (old.token IS NOT NULL AND new.token <> old.token) EXECUTE FUNCTION chaos_retaken();
"""


def _retaken() -> dict[str, float]:
    """How many parcels had been left behind, and after how many seconds from their claim somebody else had them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds), 0), coalesce(max(seconds), 0)"
            " FROM chaos_retaken"
        )
        parcels, p99, longest = cursor.fetchone()
    return {"parcels": parcels, "p99_s": p99, "longest_s": longest}


def _left_behind(queue: str) -> int:
    """How many people were in the hand of somebody who left them there, of whom nobody knows whether they were written to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(people), 0) FROM chaos_retaken WHERE queue = %s", [queue])
        return int(cursor.fetchone()[0])


def _climbs() -> tuple[int, int]:
    """How many climbs there were, and how many of them led somebody to a rung for the second time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(*) - count(DISTINCT (registrant, stage)) FROM chaos_climb")
        climbs, again = cursor.fetchone()
    return climbs, again


def _kills(rig: Rig, rng: random.Random, people: int) -> Iterator[Event]:
    """Who is killed, and at which share of all climbs."""
    share = min(1.0, max(0.0, (people - 5000) / 95_000))
    acts: dict[str, Callable[[random.Random], None]] = {
        "worker": partial(rig.kill_worker, moment=_claimed),
        "broker": rig.kill_broker,
        "database": rig.kill_database,
        "beat": rig.kill_beat,
    }
    for name, (few, many) in KILLS.items():
        for _ in range(round(few + (many - few) * share)):
            yield rng.uniform(0.02, 0.97), name, partial(acts[name], rng)


def _claimed() -> None:
    """Wait, but for no more than 3 s, until a worker claims some work: whoever is killed while idle leaves nothing behind."""
    end = time.monotonic() + 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        begin = cursor.fetchone()[0]
        while time.monotonic() < end:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM foundation_work WHERE token IS NOT NULL AND due_at > %s + %s * interval '1 s')",
                [begin, settings.LEASE_SECONDS],
            )
            if cursor.fetchone()[0]:
                return


def _outages(rig: Rig, watch: Watch) -> Iterator[Event]:
    def no_dukcapil() -> None:
        rig.outage("dukcapil", OUTAGE_SECONDS)
        watch.outages += OUTAGE_SECONDS

    def no_sms() -> None:
        # Nobody has to wait for this one: there is a second gateway.
        rig.outage("sms", SMS_OUTAGE_SECONDS)

    yield 0.3, "dukcapil outage", no_dukcapil
    yield 0.6, "sms outage", no_sms


def _drive(
    rig: Rig, simulation: Simulation, post: "Post", batch: int, events: list[Event], watch: Watch, start: float
) -> None:
    """Be the inhabitants until nothing is left to do, and let the events happen as far as people have come."""
    looked = 0.0
    with tqdm(total=simulation.goal, unit=" climbs", file=sys.stderr, mininterval=1) as bar:
        while True:
            try:
                for _ in simulation.work(batch=batch, pipeline=False):
                    post.bring()
                    if time.monotonic() - looked > LOOK:
                        looked = time.monotonic()
                        rig.mind()
                        done = simulation.done()
                        bar.update(done - bar.n)
                        _look(watch, done / simulation.goal)
                        while events and events[0][0] <= done / simulation.goal:
                            _, name, act = events[0]
                            act()
                            del events[0]
                            watch.events[name] += 1
                    if time.monotonic() - start > LONGEST:
                        raise TimeoutError("the run does not come to its end")
                if not post.bring():
                    return
            except Error:
                connection.close()  # PostgreSQL was killed, perhaps under our own hands
                if time.monotonic() - start > LONGEST:
                    raise
                time.sleep(0.2)


def _look(watch: Watch, progress: float) -> None:
    """Recount now and then, and see how long work that could be done has waited."""
    if watch.recounts < min(RECOUNTS, 1 + progress * RECOUNTS):
        watch.differences += len(funnel.recount().differences)
        watch.recounts += 1
    waiting = {"email": "email", "identity": "dukcapil", "phone": "sms"}
    shut = set(ServiceState.objects.exclude(probe_at=None).values_list("name", flat=True))
    tokens = ServiceState.objects.filter(name="dukcapil").values_list("tokens", flat=True)
    watch.quota_left = min([watch.quota_left, *tokens])
    for queue, head in work.heads(PIPELINE).items():
        if waiting[queue] not in shut:
            watch.waits[queue] = max(watch.waits[queue], head.due_for)


class Post:
    """Brings the mails and SMS that the mock services have delivered to the inhabitants."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._last: Counter[tuple[int, str]] = Counter()
        #: The text that somebody has got under each reference.
        self._texts: dict[str, str] = {}
        #: References under which somebody got another text.
        self.changed: set[str] = set()

    def bring(self) -> int:
        """How many there were. None is lost when PostgreSQL is: they are asked for again."""
        return sum(self._bring(number, place) for number in range(len(self._rig.mocks)) for place in ("mailbox", "phone"))

    def _bring(self, number: int, place: str) -> int:
        found = self._rig.ask_mock(number, f"/{place}?after={self._last[number, place]}")
        if messages := found["messages"]:
            self.changed.update(
                message["reference"]
                for message in messages
                if self._texts.setdefault(message["reference"], message["text"]) != message["text"]
            )
            with transaction.atomic():
                if place == "phone":
                    mockworld.deliver("sms", [Sms(**message) for message in messages])
                else:
                    mockworld.deliver("email", [Mail(**message) for message in messages])
        self._last[number, place] = found["last"]
        return len(messages)


class Acknowledged(NamedTuple):
    """What we have acknowledged to the gateways of one message, and what the truth is."""

    said: set[str]
    truths: set[str]


def _last_receipts(rig: Rig) -> dict[str, Acknowledged]:
    """All receipts, by reference, when no more of them come."""
    while any(rig.ask_mock(number, "/ledger")["receipts"]["outstanding"] for number in range(len(rig.mocks))):
        time.sleep(0.1)
    receipts: dict[str, Acknowledged] = {}
    for number in range(len(rig.mocks)):
        for entry in rig.ask_mock(number, "/ledger/references?service=sms"):
            if told := entry.get("receipts"):
                known = receipts.setdefault(entry["reference"], Acknowledged(set(), set()))
                known.said.update(told["acknowledged"])
                known.truths.add(told["truth"])
    return receipts


def _misjudged(receipts: dict[str, Acknowledged]) -> tuple[list[str], list[str]]:
    """Messages of which we say less than we have acknowledged, and those of which we say what nobody has truly told us."""
    states = {"sent": DeliveryState.SENT, "failed": DeliveryState.FAILED, "delivered": DeliveryState.DELIVERED}
    lower, untrue = [], []
    for id, challenge, delivery in OneTimeCode.objects.values_list("registrant_id", "challenge", "delivery"):
        reference = f"{id}.{challenge.hex}"
        known = receipts.get(reference, Acknowledged(set(), set()))
        state = delivery % 10
        if state < max((states[word] for word in known.said), default=0):
            lower.append(reference)
        ends = {states[word] for word in known.truths}
        if state in (DeliveryState.FAILED, DeliveryState.DELIVERED) and state not in ends:
            untrue.append(reference)
    return lower, untrue


def _judge(
    rig: Rig,
    simulation: Simulation,
    watch: Watch,
    post: Post,
    acknowledged: dict[str, Acknowledged],
) -> dict[str, Any]:
    """Hold the end state against the programme and against the oracle."""
    people = {
        reference.int & 0xFFFFFFFF: (stage, reason, str(id))
        for id, reference, stage, reason in Registrant.objects.values_list("id", "reference", "stage", "drop_off")
    }
    population = simulation.population
    lost = [number for number in range(population.size) if number not in people]
    astray = [
        person.number
        for person in population.people()
        if person.number in people and not _right(person.fate, *people[person.number][:2])
    ]
    figures = [
        plan.number
        for plan in simulation.plans
        if [rung.people for rung in funnel.read(funnel.View(wave=plan.number)).rungs[:4]]
        != [plan.registered, plan.email_verified, plan.identity_verified, plan.phone_verified]
    ]
    owners = [owner._default_manager.count() for owner in (EmailOwner, NikOwner, PhoneOwner)]
    ledgers = [rig.ask_mock(number, "/ledger") for number in range(len(rig.mocks))]
    dukcapil, gateways = ledgers[0]["services"]["dukcapil"], [ledger["services"]["sms"] for ledger in ledgers]
    mail = ledgers[1]["services"]["email"]
    # Sent again is what a killed worker had in hand, and what nonsense has spoiled.
    spoiled = sum(gateway["answers"].get("bent", 0) for gateway in gateways)
    asked = rig.ask_mock(0, "/ledger/references?service=dukcapil")
    by_id = {id: (stage, reason) for stage, reason, id in people.values()}
    lied = [entry["reference"] for entry in asked if entry["told"] not in (None, entry["truth"])]
    against = [entry["reference"] for entry in asked if not _agrees(entry["truth"], *by_id[entry["reference"]])]
    lower, untrue = _misjudged(acknowledged)
    climbs, again = _climbs()
    retaken = _retaken()
    promises = {
        "somebody is lost": lost,
        "somebody stands where they should not": astray,
        "a wave's figures are not the programme's": figures,
        "a rung was skipped": _skipped(),
        "a rung was climbed twice": again,
        "climbs and people differ": climbs != sum(stage - Stage.REGISTERED for stage, *_ in people.values()),
        "verified people and owners differ": owners != [rung.people for rung in funnel.read().rungs[1:4]],
        "the ledger differed from the people during the run": watch.differences,
        "the ledger differs from the people": funnel.recount().differences,
        "a verdict was told that is not the registry's": lied,
        "somebody stands against the registry's verdict": against,
        "somebody was set aside": SetAside.objects.count(),
        "Dukcapil was asked above its quota": dukcapil["calls_above_quota"],
        "an SMS gateway was asked above its quota": sum(gateway["calls_above_quota"] for gateway in gateways),
        "the mail server was asked above its quota": mail["calls_above_quota"],
        "a message was sent again with another text": sorted(post.changed),
        "an SMS was sent twice without a fault": sum(gateway["done_again"] for gateway in gateways)
        > _left_behind("phone") + spoiled,
        "a mail was sent twice without a fault": mail["done_again"] > _left_behind("email"),
        "less is known of an SMS than its receipts told": lower,
        "a forged receipt was believed": untrue,
        "work waited for more than a minute": max(watch.waits.values()) > GIVEN_BACK,
        "what somebody had left was taken up too late": retaken["longest_s"] > GIVEN_BACK,
        "fewer recounts than promised": watch.events and watch.recounts < RECOUNTS,
    }
    return {
        "funnel": [rung.people for rung in funnel.read().rungs[:4]],
        "climbs": climbs,
        "retaken": retaken,
        "dukcapil": {name: dukcapil[name] for name in _TOLD} | {"quota_left": watch.quota_left},
        "sms": [{name: gateway[name] for name in (*_TOLD, "done_again")} for gateway in gateways],
        "sms_spoiled": spoiled,
        "email": {name: mail[name] for name in (*_TOLD, "done_again")},
        "receipts": [ledger["receipts"] for ledger in ledgers],
        "broken": [promise for promise, found in promises.items() if found],
        "examples": {promise: found[:5] for promise, found in promises.items() if isinstance(found, list) and found},
    }


def _skipped() -> int:
    """How many people have not climbed each rung below the one they stand on, or one above it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM registrations_registrant"
            " WHERE num_nonnulls(email_verified_at, identity_verified_at, phone_verified_at) <> stage - 1"
        )
        return int(cursor.fetchone()[0])


def _right(fate: Fate, stage: int, reason: int) -> bool:
    if reason == DropOff.NIK_TAKEN:  # of a pair either may have been first; how many there are, the figures tell
        return stage == Stage.EMAIL_VERIFIED
    return fate is Fate.NIK_TAKEN or ENDS[fate] == (stage, reason)


def _agrees(truth: str, stage: int, reason: int) -> bool:
    if truth == "match":
        return stage >= Stage.IDENTITY_VERIFIED or reason == DropOff.NIK_TAKEN
    return (stage, reason) == (Stage.EMAIL_VERIFIED, VERDICTS[truth])
