"""What recipients do after the decree, parcel by parcel: they buy, study, review, link accounts, and are owed incentives."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np
from django.db import connection, transaction

from foundation.pg import array
from foundation.work import Claim, enqueue
from incentives import checking, gating, linking, obligations
from incentives.gates import Gate
from incentives.models import Account
from incentives.payers import PAYERS
from incentives.payout import MockPayer, Verdict
from incentives.serializers import REASONS
from prakerja.simulation import calls
from prakerja.simulation.channels import DIRECTLY, Channel, expect
from prakerja.simulation.population import Population
from prakerja.simulation.programme import END
from prakerja.simulation.recipients import ERAS, PAYDAYS, Course, Life, Recipients
from prakerja.simulation.steps import PAYING, called
from prakerja.simulation.waves import Numbers
from trainings import cancelling, completing, purchasing, redeeming, reviewing

#: So many of a parcel's people act at once at most.
MOST = 5000


@dataclass(frozen=True)
class Acting:
    """A run's recipients, and what becomes of a parcel of them."""

    population: Population
    recipients: Recipients

    def act(self, claim: Claim) -> int:
        """Let a parcel of people do all that they do, in one transaction."""
        people = _People([item.subject for item in claim.items], self.recipients.lives([item.note for item in claim.items]))
        at = max(people.last_acts())
        with claim.settling():
            # An account that is known beforehand spares whoever is owed something three looks at their gates.
            self._link(people, at)
            self._study(people, now=at, through=DIRECTLY)
            self._become_payable(people, at)
        return len(claim.items)

    def call(self, claim: Claim, era: int, partners: calls.ByApi) -> int:
        """Have partners tell of a parcel of people; it is harmless when they have before."""
        people = _People([item.subject for item in claim.items], self.recipients.lives([item.note for item in claim.items]))
        self._study(people, now=ERAS[era], through=partners)
        with claim.settling():
            notes = [[life.number, purchase] for life, (purchase, _) in zip(people.lives, people.purchases, strict=True)]
            enqueue(called(era), people.ids, notes=notes, hint=False)
        return len(claim.items)

    def follow(self, claim: Claim, era: int, partners: calls.ByApi) -> int:
        """What the people themselves do, of whom partners have told; and their payers tell of their accounts."""
        numbers, purchases = zip(*(item.note for item in claim.items), strict=True)
        people = _People([item.subject for item in claim.items], self.recipients.lives(numbers))
        people.purchases = [(purchase, "") for purchase in purchases]
        with transaction.atomic():
            self._link(people, ERAS[era])
            self._become_payable(people, ERAS[era])
        # When the accounts are there for all to see; who dies here has it told again.
        for payer, accounts in _verdicts(people.ids).items():
            partners.checked(accounts, payer, ERAS[era])
        with claim.settling():
            return len(claim.items)

    def _study(self, people: "_People", *, now: datetime, through: Channel) -> None:
        """They buy, redeem, give back and complete."""
        offers = self.offers
        chosen = [offers[choice] for choice in self.choices([life.number for life in people.lives])]
        for platform, some in _by(range(len(people.ids)), lambda i: chosen[i].platform):
            orders = [
                purchasing.Order(
                    people.ids[i], chosen[i].code, f"SIM-{people.lives[i].number}", _known(people.lives[i].bought_at)
                )
                for i in some
            ]
            for i, bought in zip(some, through.buy(orders, platform), strict=True):
                people.purchases[i] = bought
        for provider, some in _by(range(len(people.ids)), lambda i: chosen[i].provider):
            through.redeem(
                [redeeming.Use(people.purchases[i][1], at) for i in some if (at := people.lives[i].redeemed_at) is not None],
                provider,
            )
            through.complete([people.completion(i) for i in some if people.lives[i].completed_at], provider, now)
        for platform, some in _by(range(len(people.ids)), lambda i: chosen[i].platform):
            through.cancel(
                [
                    cancelling.Cancellation(people.purchases[i][1], at)
                    for i in some
                    if (at := people.lives[i].cancelled_at) is not None
                ],
                platform,
            )

    def _link(self, people: "_People", at: datetime) -> None:
        """They link accounts, and payers say how these are.

        In a transaction, as `_become_payable`: what waits in the queues is theirs, for what is others' is not there yet.
        """
        linking_now = [i for i, life in enumerate(people.lives) if life.linked_at]
        phones = self._phones([people.ids[i] for i in linking_now])
        expect(
            linking.link([people.link(i, phones[people.ids[i]]) for i in linking_now]),
            linking.Outcome.LINKED,
            linking.Outcome.ALREADY,
        )
        ask_payers(at)

    def _become_payable(self, people: "_People", at: datetime) -> None:
        """They say what they think of it, and what is owed to them is opened, as far as it is."""
        expect(
            reviewing.review([people.opinion(i) for i, life in enumerate(people.lives) if life.reviewed_at]),
            reviewing.Outcome.REVIEWED,
            reviewing.Outcome.ALREADY,
        )
        for look in (gating.refresh_batch, obligations.open_batch):
            while look(size=MOST, clock=stopped(at)):
                pass

    def _phones(self, ids: Sequence[int]) -> dict[int, str]:
        """These people's numbers, E.164: who they are stands in their reference (`drive.sign_ups`)."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT id, ('x' || right(reference::text, 12))::bit(48)::bigint
                FROM registrations_registrant WHERE id = ANY (%s::bigint[])
                """,
                [array(ids)],
            )
            rows = cursor.fetchall()
        phones = self.population.phones([number for _, number in rows])
        return {id: phone for (id, _), phone in zip(rows, phones, strict=True)}

    def choices(self, numbers: Numbers | Sequence[int]) -> Numbers:
        """Which of the offers each of these recipients buys."""
        return self.recipients.chances(np.asarray(numbers)) % len(self.offers)

    @cached_property
    def offers(self) -> list["Offer"]:
        """What can be bought all the time by as many as want to."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT code, platform_id, provider_id FROM trainings_training
                WHERE seats IS NULL AND valid_from <= %s AND valid_until > %s
                ORDER BY platform_id, provider_id, id
                """,
                [PAYDAYS[0] - timedelta(days=20), END],
            )
            return [Offer._make(row) for row in cursor.fetchall()]


def ask_payers(at: datetime) -> None:
    """Payers say how the accounts are that they are to be asked about."""
    for payer in PAYING:
        while checking.check_batch(payer, payer=MockPayer(), size=MOST, clock=stopped(at)):
            pass


def _verdicts(registrant_ids: Sequence[int]) -> dict[str, list[tuple[int, str]]]:
    """What payers have said of these people's accounts, in their words: by payer, pairs of the account's id and the verdict."""
    found: dict[str, list[tuple[int, str]]] = {}
    accounts = Account.objects.filter(registrant_id__in=registrant_ids, ended_at=None).order_by("pk")
    for payer, id, gate in accounts.values_list("payer", "pk", "gate"):
        found.setdefault(payer, []).append((id, REASONS.get(Gate(gate), Verdict.FIT.value)))
    return found


class Offer(NamedTuple):
    code: str
    platform: str
    provider: str


@dataclass
class _People:
    """Some who act together, and what they have bought: lists with an entry for each."""

    ids: list[int]
    lives: list[Life]

    def __post_init__(self) -> None:
        #: Id and redeem code.
        self.purchases = [(0, "")] * len(self.ids)

    def last_acts(self) -> Iterator[datetime]:
        for life in self.lives:
            yield max(at for at in life[2:8] if at)

    def completion(self, i: int) -> completing.Completion:
        life = self.lives[i]
        certificate = None
        if life.course is not Course.CERTIFICATE_MISSING:
            number = f"SIM-{life.number}"
            certificate = completing.Certificate(number, hashlib.sha256(number.encode()).digest())
        return completing.Completion(self.purchases[i][1], _known(life.completed_at), life.score, certificate)

    def opinion(self, i: int) -> reviewing.Opinion:
        life = self.lives[i]
        text = WORDS[life.rating][life.chance % len(WORDS[life.rating])]
        return reviewing.Opinion(self.ids[i], self.purchases[i][0], life.rating, text, _known(life.reviewed_at))

    def link(self, i: int, phone: str) -> linking.Link:
        """The account: one of those whose numbers say what is wrong with them (docs/mocks.md), or a good one."""
        life = self.lives[i]
        if (what := _WRONG.get(life.course)) is not None:
            payer = "ovo" if life.payer == "bni" else life.payer
            return linking.Link(self.ids[i], payer, f"0899{what}{life.number:08}", _known(life.linked_at))
        number = f"0{phone[3:]}" if PAYERS[life.payer].is_wallet else f"1{life.number:09}"
        return linking.Link(self.ids[i], life.payer, number, _known(life.linked_at))


#: Two digits of an account's number, by what its payer says of it.
_WRONG = {
    Course.ACCOUNT_OF_ANOTHER: 11,
    Course.ACCOUNT_INACTIVE: 12,
    Course.ACCOUNT_NOT_UPGRADED: 13,
    Course.ACCOUNT_PHONE_DIFFERS: 14,
    Course.ACCOUNT_FULL: 15,
}
#: What people write, by how many stars they give.
WORDS = {
    5: ("Materinya jelas dan langsung bisa dipakai.", "Pengajarnya sabar, contohnya banyak.", "Sangat membantu usaha saya."),
    4: ("Bagus, tetapi videonya agak panjang.", "Jelas, kuisnya perlu ditambah."),
    3: ("Cukup, sebagian sudah saya ketahui.", "Lumayan, suaranya kadang kecil."),
    2: ("Terlalu cepat untuk pemula.",),
    1: ("Tautannya sering tidak bisa dibuka.",),
}


def _by(items: Iterable[int], key: Callable[[int], str]) -> Iterator[tuple[str, list[int]]]:
    for name, some in groupby(sorted(items, key=key), key=key):
        yield name, list(some)


def stopped(at: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: at


def _known(at: datetime | None) -> datetime:
    assert at is not None  # noqa: S101
    return at
