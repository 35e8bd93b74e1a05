"""The programme office's screens."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from registrations import asking, funnel
from registrations.models import Wave
from registrations.stages import Stage

Page = Callable[[HttpRequest], HttpResponse]


def staff_only(page: Page) -> Page:
    """The page is for staff; others are asked to sign in, or told that it is not for them."""

    @never_cache
    @wraps(page)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            raise PermissionDenied
        return page(request)

    return guarded


class Reason(NamedTuple):
    label: str
    people: int
    #: Of those who stand on the rung and are not on the next one.
    share: float


class Line(NamedTuple):
    """A rung as the screen shows it."""

    stage: Stage
    label: str
    people: int
    share_of_above: float | None
    share_of_all: float | None
    #: Not on the next rung now, for whatever reason.
    lost: int
    drop_offs: list[Reason]
    waiting: int
    waiting_label: str


def line(rung: funnel.Rung) -> Line:
    lost = rung.waiting + sum(entry.people for entry in rung.lost)
    return Line(
        stage=rung.stage,
        label=str(rung.stage.label),
        people=rung.people,
        share_of_above=rung.share_of_above,
        share_of_all=rung.share_of_all,
        lost=lost,
        drop_offs=[Reason(str(entry.reason.label), entry.people, entry.people / lost) for entry in rung.lost],
        waiting=rung.waiting,
        waiting_label=rung.stage.waiting,
    )


@require_safe
@staff_only
def funnel_page(request: HttpRequest) -> HttpResponse:
    """The first screen: the eight rungs, for all, until a wave or for one wave, now or as of any past hour."""
    asked = _asked(request)
    error = None
    try:
        view = asking.view_of(asked)
    except asking.BadView as bad:
        view, error = funnel.View(), bad
    found = funnel.read(view)
    query = urlencode({name: value for name, value in asked.items() if value})
    provinces = [
        {"name": row.province.label, "registered": row.people[Stage.REGISTERED], "verified": row.people[Stage.PHONE_VERIFIED]}
        for row in funnel.by_province(view)
    ]
    context: dict[str, Any] = {
        "funnel": {"title": _title(view), "as_of": view.as_of, "rungs": [line(rung) for rung in found.rungs]},
        "registered": found.registered,
        "provinces": provinces,
        "waves": Wave.objects.all(),
        "view": view,
        "asked": request.GET,
        "error": error.message if error else None,
        "now": timezone.now(),
        "query": query,
        "json_url": f"{reverse('api_funnel')}{'?' if query else ''}{query}",
        "live": view.as_of is None and error is None,
    }
    template = "office/_funnel.html" if request.headers.get("HX-Request") else "office/funnel.html"
    return render(request, template, context, status=422 if error else 200)


def _asked(request: HttpRequest) -> dict[str, str]:
    """The filter form's fields in the words of the API: the scope says which of the wave fields counts."""
    asked = {name: request.GET.get(name, "") for name in ("wave", "until_wave")}
    scope = request.GET.get("scope")
    if scope:
        number = request.GET.get("wave", "")
        asked = {"wave": number if scope == "wave" else "", "until_wave": number if scope == "until" else ""}
    day, time = request.GET.get("as_of_date", ""), request.GET.get("as_of_time", "")
    asked["as_of"] = request.GET.get("as_of", "") or (f"{day}T{time}" if day and time else day)
    return asked


def _title(view: funnel.View) -> str:
    if view.wave is not None:
        return _("Wave %(number)s") % {"number": view.wave}
    if view.until_wave is not None:
        return _("Waves 1 to %(number)s") % {"number": view.until_wave}
    return _("All waves")
