"""What the programme office sees and does of a wave after its decree: recipients, revocations, free seats, corrections, lists."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from prakerja import wave_history
from prakerja.dashboard import staff_only
from prakerja.notes import leave_note, user_of
from registrations.models import Wave
from waves import decrees, reserves, seats
from waves.models import Act, Decree, Draw, ListCopy, Notice

Name = Act.Name


def context_of(draw: Draw) -> dict[str, Any]:
    """What a wave's page tells of a draw that has been decreed."""
    issued = list(draw.decrees.select_related("corrects"))
    movers = wave_history.movers(draw)
    later = Wave.objects.filter(number__gt=draw.wave_id).exclude(draws__in=Draw.objects.filter(annulled_at=None))
    return {
        "issued": issued,
        "seats": seats.of(draw),
        "reserve": reserves.left(draw),
        "moves": [(move, movers.get(move.at, "")) for move in draw.moves.all()],
        "notices": Notice.objects.filter(decree__in=issued).select_related("decree"),
        "later_waves": later,
        "copies": ListCopy.objects.filter(decree__in=issued).select_related("by", "decree"),
    }


@require_POST
@staff_only
def take_list(request: HttpRequest, decree: int) -> HttpResponseBase:
    """The list of a decree, which holds names: for a reason, which is kept."""
    asked = get_object_or_404(Decree.objects.select_related("draw"), pk=decree)
    reason = request.POST.get("reason", "").strip()
    if not reason:
        leave_note(request, _("Say what you need the list for: it holds names."), wrong=True)
        return redirect("office_wave", asked.draw.wave_id)
    if decrees.faults(asked):
        leave_note(request, _("What we hold of this decree is not as it was signed. Tell the programme office."), wrong=True)
        return redirect("office_wave", asked.draw.wave_id)
    ListCopy.objects.create(decree=asked, by=user_of(request), reason=reason[:500])
    headers = {"Content-Disposition": f'attachment; filename="sk-{asked.number}-{asked.year}.csv"'}
    return StreamingHttpResponse(decrees.lines(asked), content_type="text/csv; charset=utf-8", headers=headers)
