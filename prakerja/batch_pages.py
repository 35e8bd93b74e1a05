"""The programme office's pages of the batches: one person proposes what is to be paid, another one approves or refuses it."""

from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple
from uuid import uuid4

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from foundation import pg
from incentives import batching, figures
from incentives.ledger import Sum
from incentives.models import Batch, Payout
from incentives.payers import PAYERS
from prakerja import deeds
from prakerja.dashboard import staff_only
from prakerja.deeds import Name
from prakerja.notes import leave_note, take_note, user_of
from prakerja.tables import as_csv
from prakerja.templatetags.numbers import number
from waves.screening import NotNow

S = Payout.State
NOTHING = Sum(0, 0)
#: Batches on a page: how far each is, is counted payout by payout.
ON_A_PAGE = 15


class Standing(Enum):
    """How far a batch is, in the words of the screen."""

    PROPOSED = gettext_lazy("Proposed")
    REFUSED = gettext_lazy("Refused or taken back")
    SENDING = gettext_lazy("Being sent")
    STOPPED = gettext_lazy("Stopped")
    SENT = gettext_lazy("Sent")

    @property
    def label(self) -> str:
        return str(self.value)


class Line(NamedTuple):
    """A batch, with how far its payouts are."""

    batch: Batch
    payer: str
    standing: Standing
    #: Not sent: proposed or approved.
    unsent: Sum
    #: With the payer, who has not decided.
    sending: Sum
    unknown: Sum
    paid: Sum
    reversed: Sum
    failed: Sum
    #: Given free again before it was sent.
    withdrawn: Sum

    @property
    def about(self) -> str:
        return about(self.batch.pk)

    @property
    def is_moving(self) -> bool:
        """Whether its numbers may change by themselves at any moment."""
        return bool(self.batch.approved_at) and bool(self.unsent[0] + self.sending[0] + self.unknown[0])

    @property
    def sha256(self) -> str:
        return bytes(self.batch.sha256).hex()


def about(batch: int) -> str:
    """What the deeds call it."""
    return f"batch {batch}"


def lines_of(batches: list[Batch]) -> list[Line]:
    found = figures.of_batches(batch.pk for batch in batches)
    return [_line(batch, found[batch.pk]) for batch in batches]


def _line(batch: Batch, by_state: dict[S, Sum]) -> Line:
    def of(state: S) -> Sum:
        return by_state.get(state, NOTHING)

    unsent = Sum(of(S.PROPOSED)[0] + of(S.APPROVED)[0], of(S.PROPOSED)[1] + of(S.APPROVED)[1])
    return Line(
        batch,
        PAYERS[batch.payer].name if batch.payer in PAYERS else batch.payer,
        _standing(batch, unsent),
        unsent,
        of(S.SENDING),
        of(S.UNKNOWN),
        of(S.PAID),
        of(S.REVERSED),
        of(S.FAILED),
        of(S.WITHDRAWN),
    )


def _standing(batch: Batch, unsent: Sum) -> Standing:
    if not batch.approved_at:
        return Standing.REFUSED if batch.withdrawn_at else Standing.PROPOSED
    if batch.stopped:
        return Standing.STOPPED
    return Standing.SENDING if unsent.obligations else Standing.SENT


@require_safe
@staff_only
def batches_page(request: HttpRequest) -> HttpResponse:
    """All batches, the newest first, and those that wait for a second person above."""
    batches = Batch.objects.select_related("maker", "checker").order_by("-pk")
    page = Paginator(batches, ON_A_PAGE).get_page(request.GET.get("page"))
    waiting = list(batches.filter(approved_at=None, withdrawn_at=None))
    context: dict[str, Any] = {
        "page": page,
        "lines": lines_of(list(page)),
        "waiting": [_line(batch, {S.PROPOSED: Sum(batch.payouts, batch.rupiah)}) for batch in waiting],
        "payers": PAYERS,
        "notice": take_note(request),
    }
    return render(request, "office/batches.html", context)


class Preview(NamedTuple):
    """What a batch would hold, before it is asked for."""

    payer: str
    name: str
    payouts: int
    rupiah: int

    @property
    def in_batch(self) -> int:
        return min(self.payouts, batching.LARGEST)

    @property
    def left_for_later(self) -> int:
        return self.payouts - self.in_batch


@staff_only
def propose(request: HttpRequest) -> HttpResponse:
    """What a payer could pay now; and, asked for with a tick, a batch of it."""
    if request.method == "POST":
        return _propose(request)
    payer = request.GET.get("payer", "")
    if payer not in PAYERS:
        leave_note(request, _("Choose a payer."), wrong=True)
        return redirect("office_batches")
    ripe = batching.ripe(payer, at=pg.now())
    preview = Preview(payer, PAYERS[payer].name, ripe.payouts, ripe.rupiah)
    context = {"preview": preview, "once": uuid4(), "notice": take_note(request), "largest": batching.LARGEST}
    return render(request, "office/batch_proposal.html", context)


def _propose(request: HttpRequest) -> HttpResponse:
    payer, told = request.POST.get("payer", ""), request.POST
    try:
        if payer not in PAYERS:
            raise NotNow(_("Choose a payer."))
        limit = _limit(told.get("limit", ""))
        if not told.get("sure"):
            raise NotNow(_("Tick that you have looked at the numbers."))
        with transaction.atomic():
            # Written down first: of a form that is sent twice, the second finds it here.
            deed = deeds.note(Name.BATCH_PROPOSED, "", by=user_of(request), once=told.get("once", ""))
            batch = batching.propose(payer, by=user_of(request), at=pg.now(), limit=limit)
            deed.about = about(batch.pk)
            deed.save(update_fields=["about"])
    except deeds.DoneBefore as done:
        return redirect("office_batch", done.about.rpartition(" ")[2])
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
        if payer not in PAYERS:
            return redirect("office_batches")
        return redirect(f"{request.path}?payer={payer}")
    leave_note(request, _("Proposed. Another person looks at it and approves it."))
    return redirect("office_batch", batch.pk)


def _limit(typed: str) -> int:
    """How many payouts at most; nothing typed: as many as go into one batch. Raises `NotNow`."""
    digits = typed.strip().replace(".", "").replace(",", "")
    if not digits:
        return batching.LARGEST
    if not (digits.isascii() and digits.isdecimal() and 1 <= int(digits[:9]) <= batching.LARGEST and len(digits) <= 9):
        raise NotNow(_("How many at most: a whole number from 1 to %(most)s.") % {"most": number(batching.LARGEST)})
    return int(digits)


@require_safe
@staff_only
def batch_page(request: HttpRequest, batch: int) -> HttpResponse:
    """One batch: what it holds, its hash, how far it is, and what can be done with it; its progress follows by itself."""
    [line] = lines_of([get_object_or_404(Batch.objects.select_related("maker", "checker"), pk=batch)])
    context: dict[str, Any] = {"line": line, "read_at": pg.now()}
    if request.headers.get("HX-Request"):
        template = "office/_batch_progress.html"
    else:
        template = "office/batch.html"
        context |= {
            "mine": line.batch.maker_id == user_of(request).pk,
            "Standing": Standing.__members__,
            "deeds": deeds.of(line.about),
            "notice": take_note(request),
        }
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_POST
@staff_only
def decide(request: HttpRequest, batch: int) -> HttpResponse:
    """Approve a batch, refuse it, take it back, stop it, or give free what was not sent."""
    asked = get_object_or_404(Batch, pk=batch)
    act = _ACTS.get(request.POST.get("act", ""))
    try:
        if act is None:
            raise NotNow(_("There is nothing of that name to be done."))
        if not request.POST.get("sure"):
            raise NotNow(_("Tick that you have looked at the numbers."))
        leave_note(request, act(request, asked, pg.now()))
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
    return redirect("office_batch", batch)


def _approve(request: HttpRequest, batch: Batch, now: datetime) -> str:
    with transaction.atomic():
        sha256 = request.POST.get("sha256", "").strip().lower()
        batching.approve(batch, by=user_of(request), sha256=sha256, at=now)
        deeds.note(Name.BATCH_APPROVED, about(batch.pk), by=user_of(request), told=sha256)
    return _("Approved. It is being sent.")


def _refuse(request: HttpRequest, batch: Batch, now: datetime) -> str:
    """Another one's batch is refused, one's own is taken back."""
    reason = _reason(request)
    with transaction.atomic():
        batching.refuse(batch, why=reason, at=now)
        name = Name.BATCH_WITHDRAWN if batch.maker_id == user_of(request).pk else Name.BATCH_REFUSED
        deeds.note(name, about(batch.pk), by=user_of(request), told=reason)
    return _("What it held can be proposed again.")


def _stop(request: HttpRequest, batch: Batch, now: datetime) -> str:
    reason = _reason(request)
    with transaction.atomic():
        batching.halt(batch, why=reason)
        deeds.note(Name.BATCH_STOPPED, about(batch.pk), by=user_of(request), told=reason)
    return _("Stopped. Nothing more of it is sent; what has been sent is followed up.")


def _release(request: HttpRequest, batch: Batch, now: datetime) -> str:
    with transaction.atomic():
        payouts = batching.withdraw(batch, at=now)
        deeds.note(Name.BATCH_RELEASED, about(batch.pk), by=user_of(request), told=str(payouts))
    return _("What was not sent can be proposed again.")


def _reason(request: HttpRequest) -> str:
    """Raises `NotNow` when there is none."""
    reason = " ".join(request.POST.get("reason", "").split())[:500]
    if not reason:
        raise NotNow(_("Say why: it is kept."))
    return reason


_ACTS = {"approve": _approve, "refuse": _refuse, "stop": _stop, "release": _release}


@require_safe
@staff_only
def batches_csv(request: HttpRequest) -> HttpResponse:
    """All batches with how far they are, for a spreadsheet."""
    header = [
        _("Batch"),
        _("Payer"),
        _("State"),
        _("Payouts"),
        _("Rupiah"),
        "SHA-256",
        _("Proposed by"),
        _("Proposed at"),
        _("Approved by"),
        _("Approved at"),
        *(f"{label} ({unit})" for label in _outcomes() for unit in (_("payouts"), _("rupiah"))),
        _("Why it was stopped or refused"),
    ]
    lines = lines_of(list(Batch.objects.select_related("maker", "checker").order_by("pk")))
    return as_csv("batch.csv", header, (_cells(line) for line in lines))


def _outcomes() -> list[str]:
    return [str(label) for label in (S.PAID.label, S.REVERSED.label, S.FAILED.label, S.SENDING.label, S.UNKNOWN.label)]


def _cells(line: Line) -> list[str | int | None]:
    batch = line.batch
    sums = (line.paid, line.reversed, line.failed, line.sending, line.unknown)
    return [
        batch.pk,
        line.payer,
        line.standing.label,
        batch.payouts,
        batch.rupiah,
        line.sha256,
        batch.maker.get_username(),
        batch.made_at.isoformat(),
        batch.checker.get_username() if batch.checker else "",
        batch.approved_at.isoformat() if batch.approved_at else "",
        *(number for sum in sums for number in sum),
        batch.stopped,
    ]
