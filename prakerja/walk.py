"""What others do for somebody who walks the whole way by hand: the office, a platform, a training provider. In the demo only.

Each step is the domain's own act, done as those do it whose turn it is: what takes two people is asked for by one clerk and
confirmed by the other. Only who has a mailbox at /mock/ is walked with; the simulation's people are left as they are.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from foundation import mockworld, pg
from incentives import batching, statement
from incentives.models import UNPAID, Account, Batch, Obligation, State
from incentives.payers import PAYERS
from prakerja import deeds
from prakerja.batch_pages import about
from prakerja.templatetags.numbers import day, number, rupiah
from registrations import ladder
from registrations.models import EmailOwner, Registrant, Wave
from registrations.person import email_digest
from registrations.stages import Stage
from trainings import completing, redeeming
from trainings.completing import Certificate, Certification, Completion
from trainings.models import Purchase
from verification import status
from waves import acts, joining, mine, planning, programme, rules, state
from waves.mine import Membership
from waves.models import Act, Draw, Ineligible, Plan, Screening
from waves.randomness import MockBeacon
from waves.screening import NotNow

Clock = Callable[[], datetime]
Name = Act.Name

#: Two people: steps of a draw and batches take two.
CLERKS = ("petugas", "pemeriksa")
PASSWORD = "prakerja-demo"  # noqa: S105 - the demo's, and told on its pages
SIGNER = "Direktur Eksekutif (demo)"
#: A wave of the demo is open for so long, and has so many seats.
OPEN_FOR, SEATS = timedelta(days=3), 1000
#: So many people stand on the page, the newest first.
SHOWN = 20
SCORE = 90

_LOCK = 0x57414C4B  # "WALK"
_STATE = Purchase.State


class Step(StrEnum):
    """Something that others can do now for somebody."""

    SELECT = "select"
    REDEEM = "redeem"
    COMPLETE = "complete"
    CERTIFY = "certify"
    PAY = "pay"


class Offer(NamedTuple):
    step: Step
    #: Of the registrant, or of the purchase.
    id: int
    label: str


class Walker(NamedTuple):
    """Somebody whose phone is verified, and what can be done now."""

    registrant: Registrant
    name: str
    stage: Stage
    #: Why they do not go on by themselves; empty: nothing is in the way.
    why: str
    membership: Membership | None
    #: Rupiah that they have received.
    received: int
    #: What they do themselves, signed in.
    own: status.Step | None
    offers: list[Offer]

    @property
    def is_to_buy(self) -> bool:
        """Whether the day by which a first training is bought is still of interest."""
        return self.stage is Stage.SELECTED


def clerks() -> tuple[User, User]:
    """The demo's staff, made where they are missing."""
    for name in CLERKS:
        if not User.objects.filter(username=name).exists():
            User.objects.create_user(name, password=PASSWORD, is_staff=True)
    maker, checker = (User.objects.get(username=name) for name in CLERKS)
    permissions = {one.codename: one for one in Permission.objects.filter(content_type__app_label="prakerja")}
    for clerk in (maker, checker):
        clerk.user_permissions.add(permissions["look_up_people"])
    checker.user_permissions.add(permissions["see_personal_data"])
    return maker, checker


def open_next_wave(now: datetime) -> None:
    """Open the next wave now, unless one is open, or planned by the office."""
    if Wave.objects.filter(closes_at__gt=now).exists():
        return
    programme.load_rule_sets()
    # One without dates waits to be opened, with those who have registered meanwhile.
    waiting = Wave.objects.filter(closes_at=None).first()
    last = Wave.objects.order_by("number").last()
    wave = waiting or Wave(number=last.number + 1 if last else 1)
    wave.opens_at, wave.closes_at, wave.quota = now, now + OPEN_FOR, SEATS
    wave.save()
    Plan.objects.get_or_create(wave=wave, defaults={"rule_set_id": "2021-03", "sources": "demo"})


# Who walks -------------------------------------------------------------------------------------------------------------


def walkers(addresses: Iterable[str], *, at: datetime) -> list[Walker]:
    """The people with these e-mail addresses whose phone is verified, the newest first."""
    digests = {email_digest(address) for address in addresses}
    ids = EmailOwner.objects.filter(digest__in=digests).values_list("registrant_id", flat=True)
    found = Registrant.objects.filter(pk__in=list(ids), stage__gte=Stage.PHONE_VERIFIED).order_by("-pk")[:SHOWN]
    people = ladder.standing([one.pk for one in found], Stage.PHONE_VERIFIED, or_above=True)
    return [_walker(one, people[one.pk].open().name, at) for one in found if one.pk in people]


def _walker(registrant: Registrant, name: str, at: datetime) -> Walker:
    membership = mine.membership(registrant.pk, at)
    paid = statement.of(registrant.pk).totals.get(State.PAID, 0)
    return Walker(
        registrant,
        name,
        Stage(registrant.stage),
        status.why(registrant) or "",
        membership,
        paid,
        status.next_step(registrant, mine.applications(registrant.pk, at), membership),
        list(_offers(registrant, at)),
    )


def _offers(registrant: Registrant, at: datetime) -> Iterator[Offer]:
    if registrant.stage == Stage.PHONE_VERIFIED:
        if state.open_wave(at) or _pending_wave(registrant.pk):
            yield Offer(Step.SELECT, registrant.pk, _("Become a recipient"))
        return
    bought = Purchase.objects.filter(registrant_id=registrant.pk).select_related("training__platform", "training__provider")
    for purchase in bought.order_by("pk"):
        yield from _offers_of(purchase)
    if due := _due(registrant.pk, at):
        told = {"amount": rupiah(sum(one.amount for one in due.obligations)), "payer": PAYERS[due.payer].name}
        yield Offer(Step.PAY, registrant.pk, _("The office pays what is due: %(amount)s, to %(payer)s") % told)


def _offers_of(purchase: Purchase) -> Iterator[Offer]:
    training = purchase.training
    told = {"platform": training.platform.name, "provider": training.provider.name, "title": training.title}
    match purchase.state:
        case _STATE.ISSUED:
            yield Offer(Step.REDEEM, purchase.pk, _("%(platform)s redeems the code of “%(title)s”") % told)
        case _STATE.REDEEMED | _STATE.ATTENDING:
            yield Offer(Step.COMPLETE, purchase.pk, _("%(provider)s says that “%(title)s” is completed") % told)
        case _STATE.COMPLETED if purchase.certified_at is None:
            yield Offer(Step.CERTIFY, purchase.pk, _("%(provider)s sends the certificate of “%(title)s”") % told)


def take(step: str, id: int, *, clock: Clock = pg.now, wait: Callable[[float], None] = time.sleep) -> str:
    """Have others do this step, if it stands on the page now; return what came of it. Raises `NotNow`."""
    found = walkers({mail.to for mail in mockworld.messages("email")}, at=clock())
    for walker in found:
        if any((offer.step, offer.id) == (step, id) for offer in walker.offers):
            return _take(Step(step), id, walker, clock, wait)
    raise NotNow(_("This step is not possible now: it has been done, or something else comes before it."))


def _take(step: Step, id: int, walker: Walker, clock: Clock, wait: Callable[[float], None]) -> str:
    match step:
        case Step.SELECT:
            return select(id, clock=clock, wait=wait)
        case Step.PAY:
            return pay(id, at=clock())
        case _:
            return _of_training(step, Purchase.objects.select_related("training").get(pk=id), clock())


# The office names a recipient ------------------------------------------------------------------------------------------


def select(id: int, *, clock: Clock = pg.now, wait: Callable[[float], None] = time.sleep) -> str:
    """Close the wave of this person, who joins it if need be, and draw, decree and announce it for all who have joined.

    The next wave opens at once. All of it or nothing. Raises `NotNow`.
    """
    maker, checker = clerks()
    with transaction.atomic(), connection.cursor() as cursor:
        # One draw at a time: who comes second finds the next wave.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        wave = _pending_wave(id) or _join(id, clock())
        if acts.live_draw(wave):
            told = {"number": wave.number}
            raise NotNow(_("The office has begun to draw wave %(number)s: go on with it on the office's pages.") % told)
        _close(wave, by=maker, at=clock())
        _Office(wave, maker, checker, clock, wait).name_recipients(id)
        open_next_wave(clock())
    membership = mine.membership(id, clock())
    if membership is None:
        raise NotNow(
            _("Wave %(number)s was drawn, and its seats went to others. The next wave is open.") % {"number": wave.number}
        )
    return _("Wave %(number)s was closed, screened, drawn, decreed and announced: card %(card)s, a training by %(day)s.") % {
        "number": wave.number,
        "card": membership.card,
        "day": day(membership.buy_by),
    }


def _pending_wave(id: int) -> Wave | None:
    """The wave whose result this person waits for."""
    told = Draw.objects.filter(wave=OuterRef("pk"), annulled_at=None, announced_at__isnull=False)
    undrawn = Screening.objects.filter(wave=OuterRef("pk"), announced_at__isnull=False)
    return Wave.objects.filter(~Exists(told), ~Exists(undrawn), applications__registrant_id=id).order_by("number").last()


def _join(id: int, at: datetime) -> Wave:
    wave = state.open_wave(at)
    if wave is None:
        raise NotNow(_("No wave is open."))
    [outcome] = joining.join(wave.number, [id], at=[at])
    if outcome is not joining.Outcome.JOINED:
        raise NotNow(_("This person cannot join wave %(number)s now.") % {"number": wave.number})
    return wave


def _close(wave: Wave, *, by: User, at: datetime) -> None:
    if wave.closes_at and at < wave.closes_at:
        reason = _("Closed early, at the press of a button in the demo")
        planning.extend(wave, at + timedelta(microseconds=1), by=by, reason=reason, at=at)


class _Office(NamedTuple):
    """The two clerks at work on one wave."""

    wave: Wave
    maker: User
    checker: User
    clock: Clock
    wait: Callable[[float], None]

    def name_recipients(self, id: int) -> None:
        self._act(Name.SCREEN)  # also if it was before: somebody may have joined since
        if found := Ineligible.objects.filter(wave=self.wave, registrant_id=id).first():
            said = " ".join(str(rule.says) for rule in rules.RULES.values() if rule.reason in found.reasons)
            raise NotNow(_("The rules are against it, so nothing was drawn. %(reasons)s") % {"reasons": said})
        self._act(Name.FREEZE)
        # Rounds each second: a player waits for the one that is announced, as everybody does, but not for long.
        beacon = MockBeacon(period=1)
        round = beacon.chain.first_after(self.clock()) + 1
        self._act(Name.COMMIT, beacon, round=round)
        self.wait(max((beacon.chain.at(round) - self.clock()).total_seconds(), 0))
        self._act(Name.DRAW, beacon, signature=(beacon.signature(round) or b"").hex())
        self._act(Name.PUBLISH)
        self._act(Name.DECREE, signer=SIGNER)
        self._act(Name.ANNOUNCE)

    def _act(self, name: Name, beacon: MockBeacon | None = None, **details: Any) -> None:
        act = acts.ask(self.wave, name, by=self.maker, **details)
        if name.takes_two:
            acts.confirm(act, by=self.checker)
        acts.carry_out(act, beacon=beacon or MockBeacon(), at=self.clock())


# The partners ----------------------------------------------------------------------------------------------------------


def _of_training(step: Step, purchase: Purchase, now: datetime) -> str:
    """What the platform or the provider tells of this purchase. Raises `NotNow`."""
    code, training = purchase.redeem_code, purchase.training
    outcome: redeeming.Outcome | completing.Outcome
    match step:
        case Step.REDEEM:
            [outcome] = redeeming.commit([redeeming.Use(code, now)], partner=training.platform_id)
            said = _("The code is redeemed.")
        case Step.COMPLETE:
            sent = Completion(code, now, SCORE)
            [outcome] = completing.complete([sent], partner=training.provider_id, now=now)
            said = _("The training is completed. The certificate has not been sent yet.")
        case _:
            certificate = Certificate(f"{training.provider_id}/{purchase.pk:06}", hashlib.sha256(code.encode()).digest())
            [outcome] = completing.certify([Certification(code, certificate)], partner=training.provider_id, now=now)
            said = _("The certificate is here.")
    if outcome not in (redeeming.Outcome.COMMITTED, completing.Outcome.COMPLETED, completing.Outcome.CERTIFIED):
        raise NotNow(_("This step is not possible now: it has been done, or something else comes before it."))
    return said


# The office pays -------------------------------------------------------------------------------------------------------


class _Due(NamedTuple):
    payer: str
    obligations: list[Obligation]


def _due(id: int, at: datetime) -> _Due | None:
    """What could be paid to this person now, if there is anything, and by whom."""
    account = Account.objects.filter(registrant_id=id, ended_at=None, checked_at__isnull=False, gate=0).first()
    if account is None:
        return None
    owed = Obligation.objects.of([id]).filter(state__in=UNPAID, gate=0, batch_id=None, due_at__lte=at)
    found = list(owed.order_by("due_at", "pk"))
    return _Due(account.payer, found) if found else None


def pay(id: int, *, at: datetime) -> str:
    """Propose what this person's payer could pay now, and approve it; workers send it. Raises `NotNow`.

    What was due to others before is proposed in a batch of its own, which waits for the office: nothing of it is paid by this.
    """
    maker, checker = clerks()
    with transaction.atomic():
        due = _due(id, at)
        if due is None:
            raise NotNow(_("Nothing is due that could be paid now."))
        before = batching.ripe(due.payer, at=at, due_by=due.obligations[0].due_at - timedelta(microseconds=1)).payouts
        if before > batching.LARGEST:
            told = {"payouts": number(before), "payer": PAYERS[due.payer].name}
            raise NotNow(_("%(payouts)s payouts of %(payer)s were due before: have the office pay them first.") % told)
        if before:
            _propose(due.payer, by=maker, at=at, limit=before)
        batch = _propose(due.payer, by=maker, at=at)
        sha256 = bytes(batch.sha256).hex()
        batching.approve(batch, by=checker, sha256=sha256, at=at)
        deeds.note(deeds.Name.BATCH_APPROVED, about(batch.pk), by=checker, told=sha256)
    told = {"batch": str(batch.pk), "amount": rupiah(batch.rupiah), "payer": PAYERS[batch.payer].name}
    return _("Batch %(batch)s, %(amount)s to %(payer)s, was proposed and approved: a worker sends it in a moment.") % told


def _propose(payer: str, *, by: User, at: datetime, limit: int = batching.LARGEST) -> Batch:
    batch = batching.propose(payer, by=by, at=at, limit=limit)
    deeds.note(deeds.Name.BATCH_PROPOSED, about(batch.pk), by=by)
    return batch
