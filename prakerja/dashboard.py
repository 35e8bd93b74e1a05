"""The programme office's screens."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from registrations import asking, funnel
from registrations.models import Wave
from registrations.stages import Stage

P = ParamSpec("P")


def staff_only(
    page: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """The page is for staff; others are asked to sign in, or told that it is not for them."""

    @never_cache
    @wraps(page)
    def guarded(request: HttpRequest, /, *args: P.args, **options: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            raise PermissionDenied
        return page(request, *args, **options)

    return guarded


class Reason(NamedTuple):
    label: str
    people: int
    #: Of those who have reached the rung.
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
    lost_share: float
    drop_offs: list[Reason]
    waiting: int
    waiting_share: float
    waiting_label: str


def line(rung: funnel.Rung) -> Line:
    people = rung.people or 1
    lost = 0 if rung.stage is Stage.INCENTIVE_RECEIVED else rung.waiting + sum(entry.people for entry in rung.lost)
    return Line(
        stage=rung.stage,
        label=str(rung.stage.label),
        people=rung.people,
        share_of_above=rung.share_of_above,
        share_of_all=rung.share_of_all,
        lost=lost,
        lost_share=lost / people,
        drop_offs=[Reason(str(entry.reason.label), entry.people, entry.people / people) for entry in rung.lost],
        waiting=rung.waiting,
        waiting_share=rung.waiting / people,
        waiting_label=rung.stage.waiting,
    )


@require_safe
@staff_only
def funnel_page(request: HttpRequest) -> HttpResponse:
    """The first screen: the eight rungs, for all, until a wave or for one wave, now or as of any past hour."""
    asked = _asked(filters(request))
    error = None
    try:
        view = asking.view_of(asked)
    except asking.BadView as bad:
        view, error = funnel.View(), bad
    found = funnel.read(view)
    query = urlencode(asked)
    provinces = [
        {
            "name": row.province.label,
            "registered": row.people[Stage.REGISTERED],
            "verified": row.people[Stage.PHONE_VERIFIED],
        }
        for row in funnel.by_province(view)
    ]
    context: dict[str, Any] = {
        "funnel": {
            "title": _title(view),
            "as_of": view.as_of,
            "read_at": timezone.now(),
            "rungs": [line(rung) for rung in found.rungs],
        },
        "provinces": provinces,
        "waves": list(Wave.objects.values_list("number", flat=True)),
        "filters": filters(request),
        "problem": error.message if error else None,
        "json_url": f"{reverse('api_funnel')}{'?' if query else ''}{query}",
    }
    template = "office/_funnel.html" if request.headers.get("HX-Request") else "office/funnel.html"
    response = render(request, template, context, status=422 if error else 200)
    patch_vary_headers(response, ["HX-Request"])
    return response


def filters(request: HttpRequest) -> dict[str, str]:
    """What the filter form holds; links in the words of the API fill it too."""
    found = {name: request.GET.get(name, "").strip() for name in ("scope", "wave", "date", "time")}
    if not found["scope"]:
        until, selected = (request.GET.get(name, "").strip() for name in ("until_wave", "selected_wave"))
        found["scope"] = "until" if until else "selected" if selected else "wave" if found["wave"] else "all"
        found["wave"] = found["wave"] or until or selected
    if as_of := request.GET.get("as_of", "").strip():
        found["date"], _, found["time"] = as_of.partition("T")
    return found


def _asked(filters: dict[str, str]) -> dict[str, str]:
    """The filters in the words of the API: the scope says which wave parameter counts."""
    asked = {
        "wave": filters["wave"] if filters["scope"] == "wave" else "",
        "until_wave": filters["wave"] if filters["scope"] == "until" else "",
        "selected_wave": filters["wave"] if filters["scope"] == "selected" else "",
        "as_of": f"{filters['date']}T{filters['time']}" if filters["time"] else filters["date"],
    }
    return {name: value for name, value in asked.items() if value}


def _title(view: funnel.View) -> str:
    if view.wave is not None:
        return _("Wave %(number)s") % {"number": view.wave}
    if view.until_wave is not None:
        return _("Waves 1 to %(number)s") % {"number": view.until_wave}
    if view.selected_wave is not None:
        return _("Selected in wave %(number)s") % {"number": view.selected_wave}
    return _("All waves")
