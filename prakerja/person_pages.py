"""One person's money as the office sees it, looked up by an exact number: what for is asked, and each look-up is written down."""

from datetime import datetime
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from foundation import pg
from incentives import checking, figures, payers, statement
from incentives.figures import Wait
from incentives.gates import Actor
from incentives.models import State
from incentives.statement import AccountLine, Line
from prakerja import deeds
from prakerja.dashboard import staff_only
from prakerja.deeds import Name
from prakerja.look_up import Kind, LookUpForm
from prakerja.notes import user_of
from registrations.inputs import mask_name, mask_nik, mask_phone
from registrations.models import Registrant
from registrations.stages import DropOff
from trainings import statement as balances
from trainings.models import Purchase
from verification import signin
from waves import cards
from waves.mine import kept_out, membership
from waves.models import Recipient

MAY_LOOK_UP, MAY_SEE = "prakerja.look_up_people", "prakerja.see_personal_data"
#: So many deeds about a person are shown.
SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@staff_only
def person_page(request: HttpRequest) -> HttpResponse:
    """Ask for a number, then show whose it is. It is sent in the body: no address names anybody."""
    user = user_of(request)
    if not user.has_perm(MAY_LOOK_UP):
        raise PermissionDenied
    known = request.GET.get("registrant", "")
    form = LookUpForm(
        request.POST if request.method == "POST" else None,
        may_see=user.has_perm(MAY_SEE),
        initial={"kind": Kind.REGISTRANT, "number": known} if known.isdecimal() else None,
    )
    if form.is_valid():
        told, found = form.cleaned_data, form.find()
        kind, in_full = told["kind"], bool(told.get("in_full"))
        deeds.note(
            Name.PERSON_SHOWN if in_full and found else Name.PERSON_LOOKED_UP,
            about(found) if found else "nobody",
            by=user,
            told=f"{kind.label}: {told['reason']}",
        )
        if found:
            return render(request, "office/person.html", seen(found, in_full=in_full, at=pg.now()))
        form.add_error("number", _unknown(kind))
    return render(request, "office/look_up.html", {"form": form}, status=422 if form.is_bound else 200)


def about(registrant_id: int) -> str:
    """What the deeds call somebody."""
    return f"registrant {registrant_id}"


def _unknown(kind: Kind) -> str:
    if kind in (Kind.NIK, Kind.PHONE):
        return _("Nobody has verified this number as theirs. Compare it digit by digit.")
    return _("Nobody has this number. Compare it digit by digit.")


# What is seen


class Personal(NamedTuple):
    """Who somebody is, masked or in full."""

    name: str
    nik: str
    phone: str
    card: str


class Owed(NamedTuple):
    """An incentive as the office sees it."""

    line: Line
    #: What it waits for that is due and behind no gate.
    wait: Wait | None
    is_overdue: bool

    @property
    def who(self) -> Actor | None:
        """Who must act; nobody when it is paid, or not due yet."""
        return self.line.who or (self.wait.who if self.wait else None)


class Spending(NamedTuple):
    """The training balance, in rupiah: granted is spent, left and returned, and spent is bought less cancelled."""

    statement: balances.Statement
    bought: int
    cancelled: int


def seen(id: int, *, in_full: bool, at: datetime) -> dict[str, Any]:
    """All that the page shows of somebody at this instant."""
    registrant, money = Registrant.objects.get(pk=id), statement.of(id)
    waits = figures.waits([line.id for line in money.lines], at=at)
    opened, paid = sum(money.totals.values()), money.totals.get(State.PAID, 0)
    return {
        "registrant": registrant,
        "drop_off": DropOff(registrant.drop_off),
        "personal": _personal(id, in_full=in_full),
        "in_full": in_full,
        "membership": membership(id, at),
        "kept_out": kept_out(id),
        "spending": _spending(balances.of(id)),
        "money": money,
        "is_checked": _is_checked(money.account, at),
        "owed": [Owed(line, waits.get(line.id), line.is_overdue(at)) for line in money.lines],
        "opened": opened,
        "paid": paid,
        "unpaid": opened - paid,
        "attempts": [(line, attempt) for line in money.lines for attempt in line.attempts],
        "surveys": money.surveys_at(at),
        "deeds": deeds.of(about(id))[:SHOWN],
    }


def _is_checked(account: AccountLine | None, at: datetime) -> bool:
    """Whether what the payer has said of the account still counts."""
    return bool(account and account.checked_at and account.checked_at > checking.counts_since(at))


def _personal(id: int, *, in_full: bool) -> Personal:
    person = signin.open_person(id)
    card = Recipient.objects.filter(pk=id).values_list("card", flat=True).first()
    if in_full:
        return Personal(person.name, person.nik, person.phone, cards.spoken(card) if card else "")
    return Personal(
        mask_name(person.name),
        mask_nik(person.nik),
        mask_phone(person.phone),
        payers.masked(str(card)) if card else "",
    )


def _spending(found: balances.Statement | None) -> Spending | None:
    if found is None:
        return None
    cancelled = [one.price for one in found.purchases if one.state == Purchase.State.CANCELLED]
    return Spending(found, sum(one.price for one in found.purchases), sum(cancelled))
