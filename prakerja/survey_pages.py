"""The programme office's page of the surveys: how far each is, and which answers have not been paid in time."""

from datetime import datetime
from typing import Any, NamedTuple

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from foundation import pg
from incentives import figures, terms
from incentives.figures import Wait
from incentives.models import Obligation
from prakerja.dashboard import staff_only
from registrations.models import Registrant

ON_A_PAGE = 50


class Overdue(NamedTuple):
    """A survey that was answered and not paid in time."""

    registrant_id: int
    survey: int
    answered_at: datetime
    pay_by: datetime
    #: Whole days since then.
    days: int
    rupiah: int
    wait: Wait


@require_safe
@staff_only
def surveys_page(request: HttpRequest) -> HttpResponse:
    """Counts per survey, and all that are overdue: the oldest first, with who must act."""
    at = pg.now()
    page = Paginator(figures.overdue_surveys(at=at), ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "surveys": figures.surveys(at=at),
        "overdue": figures.overdue(at=at),
        "page": page,
        "lines": lines_of(list(page), at=at),
        "within": terms.of(at).survey_paid_within.days,
        "read_at": at,
    }
    return render(request, "office/surveys.html", context)


def lines_of(obligations: list[Obligation], *, at: datetime) -> list[Overdue]:
    """These overdue surveys; those that were paid since they were found are left out."""
    waits = figures.waits([one.pk for one in obligations], at=at)
    people = Registrant.objects.filter(pk__in={one.registrant_id for one in obligations})
    completed_at: dict[int, Any] = dict(people.values_list("pk", "training_completed_at"))
    return [_line(one, waits[one.pk], completed_at[one.registrant_id], at) for one in obligations if one.pk in waits]


def _line(one: Obligation, wait: Wait, completed_at: datetime, at: datetime) -> Overdue:
    pay_by = one.due_at + terms.of(completed_at).survey_paid_within
    survey = one.item - terms.FIRST_SURVEY + 1
    return Overdue(one.registrant_id, survey, one.due_at, pay_by, (at - pay_by).days, one.amount, wait)
