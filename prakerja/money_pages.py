"""The programme office's page of the money: what is owed, blocked, sent and paid, and what the training balance has become."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from foundation import pg
from incentives import figures, ledger
from incentives.gates import Gate
from incentives.ledger import Books, Sum
from incentives.models import UNPAID, State
from incentives.payers import PAYERS
from partners.models import Partner
from prakerja.dashboard import staff_only
from prakerja.tables import Cell, as_csv
from trainings import accounts

NOTHING = Sum(0, 0)


class StateLine(NamedTuple):
    """Where money is."""

    state: State
    people: int
    obligations: int
    rupiah: int
    share: float
    #: Of it, what a gate holds up.
    blocked: Sum


class Who(NamedTuple):
    """All that waits for one of those who can act."""

    label: str
    people: int
    obligations: int
    rupiah: int


class Money(NamedTuple):
    """The incentives, out of the books."""

    total: Sum
    states: list[StateLine]
    blocked: list[figures.Blocked]
    blocked_in_all: Who
    by_who: list[Who]
    #: Not paid, and nothing in the way: due now or later, or with the payer.
    on_the_way: int
    paid: int
    unknown: int


def read(books: Books) -> Money:
    blocked = figures.blocked(books)
    return Money(
        Sum(sum(each.obligations for each in books.by_state_and_gate.values()), books.rupiah),
        [_line(books, line) for line in figures.states(books)],
        blocked,
        _together("", blocked),
        [_together(who.label, [line for line in blocked if line.who is who]) for who in _who_must_act(blocked)],
        books.rupiah - books.of(State.PAID).rupiah - sum(line.rupiah for line in blocked),
        books.of(State.PAID).rupiah,
        books.of(State.UNKNOWN).rupiah,
    )


def _line(books: Books, line: figures.ByState) -> StateLine:
    held = [sum for (state, gate), sum in books.by_state_and_gate.items() if state is line.state and gate]
    blocked = Sum(sum(each.obligations for each in held), sum(each.rupiah for each in held))
    return StateLine(line.state, line.people, line.obligations, line.rupiah, line.rupiah / (books.rupiah or 1), blocked)


def _together(label: Any, lines: Iterable[figures.Blocked]) -> Who:
    """Nobody is counted twice: all that a person is owed waits behind one gate."""
    found = list(lines)
    return Who(
        str(label),
        sum(line.people for line in found),
        sum(line.obligations for line in found),
        sum(line.rupiah for line in found),
    )


def _who_must_act(blocked: Iterable[figures.Blocked]) -> list[Any]:
    return list(dict.fromkeys(line.who for line in blocked))


@require_safe
@staff_only
def money_page(request: HttpRequest) -> HttpResponse:
    """Where the incentives' money is now, and who must act; it follows by itself."""
    context = {"money": read(ledger.read()), "read_at": pg.now()}
    template = "office/_money.html" if request.headers.get("HX-Request") else "office/money.html"
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


# What takes a moment to be counted: by payer and by platform


class PayerLine(NamedTuple):
    """What goes, or went, through one payer."""

    name: str
    states: list[Sum]
    rupiah: int


class PlatformLine(NamedTuple):
    name: str
    code: str
    rupiah: int
    share: float


class Balance(NamedTuple):
    """What has become of the training balance, in rupiah."""

    granted: int
    spent: int
    left: int
    #: Not spent in time, and back in the treasury.
    returned: int
    platforms: list[PlatformLine]


class Details(NamedTuple):
    states: list[State]
    payers: list[PayerLine]
    together: PayerLine
    #: What is due and behind no gate.
    due: list[figures.Due]
    surveys: list[figures.Survey]
    balance: Balance


def details() -> Details:
    """The incentives by payer, and the training balance by platform."""
    found = figures.by_payer()
    lines = [_of_payer(name, found.get(code, {})) for code, name in _payers()]
    at = pg.now()
    sums = [[line.states[number] for line in lines] for number in range(len(State))]
    together = [Sum(sum(each.obligations for each in column), sum(each.rupiah for each in column)) for column in sums]
    return Details(
        list(State),
        lines,
        PayerLine(_("All"), together, sum(line.rupiah for line in lines)),
        figures.due(at=at),
        figures.surveys(at=at),
        _balance(accounts.totals()),
    )


def _payers() -> list[tuple[str, str]]:
    return [*((code, form.name) for code, form in PAYERS.items()), ("", _("No account yet"))]


def _of_payer(name: str, found: dict[State, Sum]) -> PayerLine:
    states = [found.get(state, NOTHING) for state in State]
    return PayerLine(name, states, sum(each.rupiah for each in states))


def _balance(totals: accounts.Totals) -> Balance:
    names = dict(Partner.objects.filter(pk__in=list(totals.taken)).values_list("code", "name"))
    spent = sum(totals.taken.values())
    platforms = [
        PlatformLine(names.get(code, code), code, rupiah, rupiah / (spent or 1))
        for code, rupiah in sorted(totals.taken.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return Balance(totals.granted, spent, totals.left, totals.returned, platforms)


@require_safe
@staff_only
def details_page(request: HttpRequest) -> HttpResponse:
    """By payer and by platform: part of the page, or one of its own where no script fetches it."""
    is_part = bool(request.headers.get("HX-Request"))
    context = {"details": details(), "read_at": pg.now(), "is_part": is_part}
    template = "office/_money_details.html" if is_part else "office/money_details.html"
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


# The proof


class Proof(NamedTuple):
    """What a recount found: nothing, if all is well."""

    at: datetime
    seconds: float
    books: list[ledger.Difference]
    balances: list[accounts.Difference]
    total: Sum

    @property
    def agrees(self) -> bool:
        return not self.books and not self.balances


def prove() -> Proof:
    """Count everything anew, row by row."""
    at, began = pg.now(), time.monotonic()
    books, balances = ledger.recount(), accounts.recount()
    return Proof(at, time.monotonic() - began, books, balances, read(ledger.read()).total)


@require_safe
@staff_only
def recount_page(request: HttpRequest) -> HttpResponse:
    """Count everything anew and say whether the figures agree with it."""
    proof = prove()
    lines = [(_what(line), _cell(line), line.here, line.there) for line in proof.books]
    context = {"proof": proof, "differences": lines}
    template = "office/_recount.html" if request.headers.get("HX-Request") else "office/recount.html"
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _what(line: ledger.Difference) -> str:
    said = {
        "obligations": _("Incentives, in the books and counted"),
        "rupiah": _("Rupiah, in the books and counted"),
        "people": _("People, in the books and counted"),
        "journal": _("Rupiah, in the journal and counted"),
        "payouts": _("Incentives whose payouts say something else"),
    }
    return said.get(line.what, line.what)


def _cell(line: ledger.Difference) -> str:
    """Which cell of the books, in words."""
    state = str(State(line.state).label) if line.state in State.values else ""
    gate = str(Gate(line.gate).label) if line.gate > ledger.ANY_GATE and line.gate in Gate.values else ""
    return ", ".join(part for part in (state, gate) if part) or "–"


# To take away


@require_safe
@staff_only
def figures_json(request: HttpRequest) -> HttpResponse:
    """All figures of the page, exact, for a program."""
    books = ledger.read()
    money, more = read(books), details()
    return JsonResponse(
        {
            "read_at": pg.now().isoformat(),
            "incentives": {
                "total": {"obligations": money.total.obligations, "rupiah": money.total.rupiah},
                "states": [
                    {
                        "state": line.state.name.lower(),
                        "people": line.people,
                        "obligations": line.obligations,
                        "rupiah": line.rupiah,
                        "blocked_rupiah": line.blocked.rupiah,
                    }
                    for line in money.states
                ],
                "blocked": [
                    {
                        "gate": line.gate.name.lower(),
                        "who": line.who.value,
                        "people": line.people,
                        "obligations": line.obligations,
                        "rupiah": line.rupiah,
                    }
                    for line in money.blocked
                ],
                "due": [
                    {
                        "waits_for": line.wait.value,
                        "who": line.wait.who.value,
                        "people": line.people,
                        "obligations": line.obligations,
                        "rupiah": line.rupiah,
                    }
                    for line in more.due
                ],
                "surveys": [
                    {
                        "survey": line.number,
                        **{
                            name: {"obligations": sum.obligations, "rupiah": sum.rupiah}
                            for name, sum in (
                                ("answered", line.answered),
                                ("paid", line.paid),
                                ("blocked", line.blocked),
                                ("in_time", line.in_time),
                                ("overdue", line.overdue),
                            )
                        },
                        "missed_by_people": line.missed,
                    }
                    for line in more.surveys
                ],
                "payers": [
                    {
                        "payer": code or None,
                        "states": {
                            state.name.lower(): {"obligations": sum.obligations, "rupiah": sum.rupiah}
                            for state, sum in zip(State, line.states, strict=True)
                        },
                    }
                    for (code, _name), line in zip(_payers(), more.payers, strict=True)
                ],
            },
            "training_balance": {
                "granted": more.balance.granted,
                "spent": more.balance.spent,
                "left": more.balance.left,
                "returned": more.balance.returned,
                "platforms": [{"platform": line.code, "rupiah": line.rupiah} for line in more.balance.platforms],
            },
        }
    )


@require_safe
@staff_only
def figures_csv(request: HttpRequest) -> HttpResponse:
    """All figures of the page as one table: what, which, who must act, people, incentives, rupiah."""
    header = [_("Figure"), _("Which"), _("Who must act"), _("People"), _("Incentives"), _("Rupiah")]
    return as_csv("uang.csv", header, _rows(read(ledger.read()), details()))


def _rows(money: Money, more: Details) -> Iterable[list[Cell]]:
    yield [_("All incentives"), "", "", None, *money.total]
    for line in money.states:
        yield [_("State"), str(line.state.label), "", line.people, line.obligations, line.rupiah]
        if line.state in UNPAID:
            yield [_("Of that blocked"), str(line.state.label), "", None, *line.blocked]
    for held in money.blocked:
        who = str(held.who.label)
        yield [_("Blocked"), str(held.gate.label), who, held.people, held.obligations, held.rupiah]
    for waiting in more.due:
        who = str(waiting.wait.who.label)
        yield [_("Due"), str(waiting.wait.label), who, waiting.people, waiting.obligations, waiting.rupiah]
    for survey in more.surveys:
        name = _("Survey %(number)s") % {"number": survey.number}
        yield [_("Survey answered"), name, "", None, *survey.answered]
        yield [_("Survey overdue"), name, "", None, *survey.overdue]
        yield [_("Survey missed"), name, "", survey.missed, None, None]
    for payer in more.payers:
        for state, sum in zip(more.states, payer.states, strict=True):
            yield [_("By payer"), f"{payer.name}: {state.label}", "", None, *sum]
    balance = more.balance
    for label, rupiah in (
        (_("Granted"), balance.granted),
        (_("Spent"), balance.spent),
        (_("Left"), balance.left),
        (_("Back to the treasury"), balance.returned),
    ):
        yield [_("Training balance"), label, "", None, None, rupiah]
    for platform in balance.platforms:
        yield [_("Training balance by platform"), platform.name, "", None, None, platform.rupiah]
