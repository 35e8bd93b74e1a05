"""The programme office's pages of the reconciliation: a payer's daily file goes in, and what it leaves over is settled one by one."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from foundation import pg
from foundation.csvfile import BadFile
from incentives import reconciliation
from incentives.models import Leftover, Payout, StatementFile, StatementLine
from incentives.payers import PAYERS
from prakerja import deeds
from prakerja.dashboard import staff_only
from prakerja.deeds import Name
from prakerja.notes import leave_note, take_note, user_of
from prakerja.tables import as_csv
from waves.screening import NotNow

#: Of a file that comes through a browser; some half a million lines. A larger one goes in by `manage.py reconcile`.
LARGEST = 32 * 1024 * 1024
#: What a form has besides its file.
FORM = 64 * 1024
#: A browser shows no answer before it has sent everything: so much of what is too large is read and thrown away.
DRAINED = 1024 * 1024 * 1024

FILES_ON_A_PAGE, LEFTOVERS_ON_A_PAGE = 30, 20


class Said(NamedTuple):
    """What a file says of so many payouts."""

    label: str
    lines: int
    rupiah: int


def about(file: int) -> str:
    """What the deeds call it."""
    return f"file {file}"


def _open(leftovers: str = "") -> Q:
    return Q(**{f"{leftovers}settled_at": None})


@require_safe
@staff_only
def reconciliation_page(request: HttpRequest) -> HttpResponse:
    """The form, what is left over of all files, and the files."""
    return _page(request)


def _page(request: HttpRequest, *, refused: str = "", payer: str = "", status: int = 200) -> HttpResponse:
    files = StatementFile.objects.annotate(left=Count("leftovers", filter=_open("leftovers__"))).order_by("-day", "payer")
    left = Leftover.objects.filter(_open()).select_related("file")
    page = Paginator(files, FILES_ON_A_PAGE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {
        "page": page,
        "payers": PAYERS,
        "payer": payer,
        "refused": refused,
        "left": left[:LEFTOVERS_ON_A_PAGE],
        "unexplained": [(Leftover.Kind(kind), number) for kind, number in reconciliation.unexplained().items()],
        "in_all": left.count(),
        "most": LARGEST // 1024 // 1024,
        "notice": take_note(request),
    }
    return render(request, "office/reconciliation.html", context, status=status)


View = Callable[[HttpRequest], HttpResponseBase]


def _small_enough(take: View) -> View:
    """Refuse what is too large before anything of it is parsed, the form's own token included."""

    @wraps(take)
    def limited(request: HttpRequest) -> HttpResponseBase:
        if int(request.META.get("CONTENT_LENGTH") or 0) <= LARGEST + FORM:
            return take(request)
        left = DRAINED
        while left > 0 and (part := request.read(1024 * 1024)):
            left -= len(part)
        refused = _("The file is larger than %(most)s MB: whoever runs the servers takes it in by “manage.py reconcile”.")
        return _page(request, refused=refused % {"most": LARGEST // 1024 // 1024}, status=413)

    return limited


@csrf_exempt  # and protected below: the token is in the body, which is looked at only if it is small enough
@require_POST
@staff_only
@_small_enough
@csrf_protect
def take(request: HttpRequest) -> HttpResponse:
    """Take a payer's daily file as a whole, or say why nothing of it was taken."""
    payer, upload = request.POST.get("payer", ""), request.FILES.get("file")
    try:
        if payer not in PAYERS:
            raise BadFile(_("Choose a payer."))
        if not isinstance(upload, UploadedFile):
            raise BadFile(_("Choose the file."))
        with transaction.atomic():
            taken = reconciliation.take(payer, upload.read(), file=_name_of(upload), at=pg.now())
            deeds.note(Name.FILE_TAKEN, about(taken.pk), by=user_of(request), told=taken.file)
    except BadFile as fault:
        return _page(request, refused=str(fault), payer=payer, status=422)
    leave_note(request, _("The file has been taken."))
    return redirect("office_statement", taken.pk)


def _name_of(upload: "UploadedFile[Any]") -> str:
    """As the payer named it, without what no screen shows."""
    return "".join(char for char in upload.name or "" if char.isprintable())


@require_safe
@staff_only
def statement_page(request: HttpRequest, file: int) -> HttpResponse:
    """What one file has told, and what it leaves over."""
    found = get_object_or_404(StatementFile, pk=file)
    leftovers = found.leftovers.select_related("file").order_by(F("settled_at").asc(nulls_first=True), "pk")
    said = StatementLine.objects.filter(file_id=found.pk).values("said").order_by("said")
    context: dict[str, Any] = {
        "file": found,
        "payer": PAYERS[found.payer].name,
        "said": [
            Said(str(Payout.State(row["said"]).label), row["lines"], row["rupiah"])
            for row in said.annotate(lines=Count("*"), rupiah=Sum("rupiah"))
        ],
        "page": Paginator(leftovers, LEFTOVERS_ON_A_PAGE).get_page(request.GET.get("page")),
        "in_all": leftovers.count(),
        "open": leftovers.filter(_open()).count(),
        "settled": leftovers.exclude(_open()).count(),
        "deeds": deeds.of(about(found.pk)),
        "notice": take_note(request),
    }
    return render(request, "office/statement.html", context)


@require_POST
@staff_only
def settle(request: HttpRequest, leftover: int) -> HttpResponse:
    """Somebody has cleared up what was left over, and says how; or takes over into our books what the payer has shown to be so."""
    found = get_object_or_404(Leftover, pk=leftover)
    how = " ".join(request.POST.get("how", "").split())[:500]
    accepts = request.POST.get("act") == "accept"
    try:
        if not how:
            raise NotNow(_("Say how it was cleared up: it is kept."))
        if accepts and not request.POST.get("sure"):
            raise NotNow(_("Tick that you are sure."))
        with transaction.atomic():
            settled = (reconciliation.accept if accepts else reconciliation.settle)(found, how=how, at=pg.now())
            if not settled:
                raise NotNow(_("Somebody has settled this already, or the money has moved on."))
            told = f"{found.obligation_id}-{found.attempt}: {how}"
            name = Name.LEFTOVER_ACCEPTED if accepts else Name.LEFTOVER_SETTLED
            deeds.note(name, about(found.file_id), by=user_of(request), told=told)
        leave_note(request, _("Settled."))
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
    return redirect("office_statement", found.file_id)


@require_safe
@staff_only
def leftovers_csv(request: HttpRequest) -> HttpResponse:
    """Everything that was left over, settled or not, for a spreadsheet."""
    header = [
        _("Payer"),
        _("Day"),
        _("File"),
        _("Reference"),
        _("What is different"),
        _("Rupiah"),
        _("Next step"),
        _("Settled at"),
        _("How"),
    ]
    return as_csv("sisa.csv", header, (_cells(one) for one in _all_leftovers()))


def _all_leftovers() -> QuerySet[Leftover]:
    return Leftover.objects.select_related("file").order_by("pk")


def _cells(one: Leftover) -> list[str | int | None]:
    return [
        one.file.payer,
        one.file.day.isoformat(),
        one.file.file,
        f"{one.obligation_id}-{one.attempt}",
        str(Leftover.Kind(one.kind).label),
        one.rupiah,
        one.next_step,
        one.settled_at.isoformat() if one.settled_at else "",
        one.settled_how,
    ]
