"""Made-up recipients: registered, verified and named in a decree within one transaction, each step by the act that does it always.

A decree names whom a draw took, or corrects another one. So the sandbox has a wave of its own, drawn among one person, with a million
seats, and whoever is wanted is added to its decree. Nobody is written to, and nobody's days to buy a training are counted.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple
from uuid import uuid4

from django.db import connection

from foundation.pg import array
from registrations import ladder
from registrations.intake import SignUp, register
from registrations.models import Education, Employment, NikOwner, Owner, PhoneOwner, Sex, Wave
from registrations.ownership import prove
from registrations.person import Person, email_digest, kk_digest, nik_digest, phone_digest
from registrations.regions import WIB, Province
from registrations.stages import Stage
from trainings import terms
from verification import synthetic
from waves import draw as drawing
from waves import joining, naming, programme, revocation, screening, seats
from waves.decrees import Writer, named
from waves.models import Decree, Draw, Plan, Recipient
from waves.randomness import MockBeacon

#: By this the sandbox's waves are known among a demo's others.
SOURCES = "sandbox"
SIGNER = "Sandbox"
REASON = "asked for in the sandbox"
RULES = "2021-03"
SEATS = 1_000_000
HOUR = timedelta(hours=1)

_LOCK = 0x53414E44  # "SAND"

_REGENCIES = [(province, regency) for province in Province for regency in province.regencies]
#: Nobody of the simulation is as old: their NIKs are others.
_FIRST_BIRTH, _BIRTHS = date(1940, 1, 1), 20 * 365


class Card(Enum):
    """What is the matter with a card."""

    GOOD = auto()
    #: The days to buy a first training are over, and the revocation is held back.
    TOO_LATE = auto()
    REVOKED = auto()
    #: Of a year whose balance is not to be spent any more.
    EXPIRED = auto()


class MadeUp(NamedTuple):
    """A recipient whom there is nowhere else."""

    id: int
    #: 16 digits.
    card: str
    #: E.164.
    phone: str

    def __repr__(self) -> str:
        return f"MadeUp({self.id})"


def make(count: int, *, at: datetime, card: Card = Card.GOOD) -> list[MadeUp]:
    """So many new recipients, in order of their ids, who have done nothing yet. In a transaction."""
    draw = _draw_with(count, at)
    people = _verified(count, at)
    ids = list(people)
    year = _dated(at).year
    dated = terms.of(year - 1).use_by(year - 1) - timedelta(days=1) if card is Card.EXPIRED else _dated(at)
    decree = _name(draw, ids, at=dated, buy_by=at if card is Card.TOO_LATE else None)
    if card is Card.TOO_LATE:
        # As if nobody were left to be revoked: the answer would else be had for half a minute only.
        Decree.objects.filter(pk=decree.pk).update(lapsed_at=at)
    if card is Card.REVOKED:
        while revocation.lapse(decree, buy_by=at):
            pass
    cards = dict(Recipient.objects.filter(pk__in=ids).values_list("pk", "card"))
    return [MadeUp(id, f"{cards[id]:016}", person.phone) for id, person in people.items()]


def _dated(at: datetime) -> datetime:
    """The date of a decree whose recipients have a balance to spend: after 15 December, the new year's first day."""
    year = at.astimezone(WIB).year
    return at if at < terms.of(year).use_by(year) else datetime(year + 1, 1, 1, tzinfo=WIB)


# Whose decree is corrected -----------------------------------------------------------------------------------------------


def _draw_with(free: int, at: datetime) -> Draw:
    """The sandbox's draw, locked, with so many seats free; a new one where there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    plan = Plan.objects.filter(sources=SOURCES).select_related("wave").order_by("-wave").first()
    if plan:
        draw = seats.decided(plan.wave)
        if seats.of(draw).free >= free:
            return draw
    return _drawn(at)


def _drawn(at: datetime) -> Draw:
    """A wave of the last hours, which one person has joined, and its draw."""
    programme.load_rule_sets()
    beacon, hours = MockBeacon(), [at - HOUR * left for left in range(9, 0, -1)]
    last = Wave.objects.order_by("number").last()
    number = last.number + 1 if last else 1
    wave = Wave.objects.create(number=number, opens_at=hours[0], closes_at=hours[2], quota=SEATS)
    Plan.objects.create(wave=wave, rule_set_id=RULES, sources=SOURCES)
    joined = joining.join(number, list(_verified(1, hours[0])), at=[hours[1]])
    assert joined == [joining.Outcome.JOINED]  # noqa: S101
    screening.screen(wave, at=hours[3])
    draw = drawing.freeze(wave, at=hours[4])
    drawing.commit(draw, chain=beacon.chain, round=beacon.chain.first_after(hours[6]), at=hours[5])
    drawing.run(draw, signature=beacon.signature(draw.round or 0) or b"", at=hours[7])
    drawing.publish(draw, at=hours[8])
    naming.issue(draw, by=SIGNER, at=at)
    naming.announce(draw, at=at, in_earnest=False)
    return draw


def _name(draw: Draw, ids: Sequence[int], *, at: datetime, buy_by: datetime | None) -> Decree:
    """Add these people to the draw's decree."""
    old = draw.decrees.get(kind=Decree.Kind.RECIPIENTS)
    writer = Writer(Decree.Kind.CORRECTION, draw, by=SIGNER, at=at, corrects=old)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT registrant.id, 0, NULL::bigint, registrant.province, registrant.sex, data.sealed, uuid_send(registrant.reference)
            FROM registrations_registrant registrant JOIN registrations_personaldata data ON data.registrant_id = registrant.id
            WHERE registrant.id = ANY (%s::bigint[]) ORDER BY registrant.id
            """,
            [array(ids)],
        )
        people = [one._replace(reason=REASON) for one in named(cursor.fetchall())]
    naming.make_recipients(writer, draw, people)
    return writer.finish(buy_by=buy_by)


# Who they are ------------------------------------------------------------------------------------------------------------


def _verified(count: int, at: datetime) -> dict[int, Person]:
    """So many new people whose phone is verified, by id, in order. Whoever has the same NIK or phone would be taken; nobody has."""
    niks, phones = _new(count, _random_nik, nik_digest, NikOwner), _new(count, _random_phone, phone_digest, PhoneOwner)
    sign_ups = [_sign_up(nik, phone, at) for nik, phone in zip(niks, phones, strict=True)]
    new = register(sign_ups)
    people = {new[sign_up.reference]: sign_up.person for sign_up in sign_ups}
    _climb(Stage.EMAIL_VERIFIED, {id: email_digest(person.email) for id, person in people.items()}, at)
    households = {id: kk_digest(person.kk) for id, person in people.items()}
    _climb(Stage.IDENTITY_VERIFIED, {id: nik_digest(person.nik) for id, person in people.items()}, at, households)
    _climb(Stage.PHONE_VERIFIED, {id: phone_digest(person.phone) for id, person in people.items()}, at)
    return dict(sorted(people.items()))


def _climb(to: Stage, claims: dict[int, str], at: datetime, households: dict[int, str] | None = None) -> None:
    seen = ladder.standing(list(claims), to.below)
    climbed, _taken = prove(to, claims, dict.fromkeys(claims, at), seen=seen, households=households)
    assert climbed == claims.keys()  # noqa: S101


def _new(count: int, value: Callable[[], str], digest: Callable[[str], str], owner: type[Owner]) -> list[str]:
    """So many random values that are nobody's; `digest`: what the owner's table knows them by."""
    found: dict[str, str] = {}
    while len(found) < count:
        for _ in range(count - len(found)):
            drawn = value()
            found[digest(drawn)] = drawn
        for taken in owner._default_manager.filter(digest__in=list(found)).values_list("digest", flat=True):
            del found[taken.hex]
    return list(found.values())


def _random_nik() -> str:
    _province, regency = secrets.choice(_REGENCIES)
    born = _FIRST_BIRTH + timedelta(days=secrets.randbelow(_BIRTHS))
    return synthetic.make_nik(regency, 1 + secrets.randbelow(89), born, secrets.choice(list(Sex)))


def _random_phone() -> str:
    """Nobody's of the simulation: theirs have a 0 behind the operator's prefix."""
    return f"+628199{secrets.randbelow(10**8):08}"


def _sign_up(nik: str, phone: str, at: datetime) -> SignUp:
    reference = uuid4()
    person = Person(
        name=f"Peserta Sandbox {reference.hex[:6]}",
        # Nobody reads it: what is written there by accident goes nowhere.
        email=f"{reference.hex}@hilang.example",
        nik=nik,
        kk=synthetic.kk_of(nik),
        birth_date=synthetic.birth_date_of(nik),
        phone=phone,
    )
    sex = Sex.FEMALE if int(nik[6:8]) > 40 else Sex.MALE
    return SignUp(reference, person, sex, Province(int(nik[:2])), Education.SENIOR, Employment.JOB_SEEKER, True, False, at)
