"""What a recipient sees of the incentives: the account they go to, each of them, and the one thing that blocks it."""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from foundation import pg
from incentives import changing, checking, linking, statement, surveys, terms
from incentives.forms import AccountForm, SurveyForm
from incentives.gates import Actor, Gate
from incentives.models import State
from incentives.payers import PAYERS
from incentives.statement import Line, Statement
from incentives.terms import Terms
from registrations import ladder
from registrations.inputs import mask_phone
from registrations.models import Registrant
from registrations.session import signed_in
from registrations.stages import Stage
from trainings.models import Purchase
from waves.mine import Membership, membership


def _member(registrant: Registrant, now: datetime) -> Membership | None:
    return membership(registrant.pk, now) if registrant.stage >= Stage.SELECTED else None


# The account


@require_safe
@signed_in
def account_page(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """The account that is linked, and whether it can be paid into."""
    now = pg.now()
    found = _member(registrant, now)
    if found is None:
        return redirect("status")
    told = statement.of(registrant.pk)
    if told.account is None and not found.ended_at:
        return redirect("link_account")
    return render(request, "registrants/account.html", _of_account(registrant, told, found, now))


def _of_account(registrant: Registrant, told: Statement, found: Membership, now: datetime, **more: Any) -> dict[str, Any]:
    account = told.account
    return {
        "membership": found,
        "account": account,
        "is_wallet": account is not None and PAYERS[account.payer].is_wallet,
        "change": told.change,
        "Gate": Gate,
        "monthly": _rules(registrant, now).monthly,
        "phone_masked": _phone_of(registrant.pk),
        "waits_for_us": account is not None and account.checked_at is None,
        **more,
    }


def _rules(registrant: Registrant, now: datetime) -> Terms:
    """The terms that hold for somebody: of the day of their first completed training; before that, those in force now."""
    return terms.of(registrant.training_completed_at or now)


def _phone_of(registrant_id: int) -> str:
    """The number that codes go to, masked."""
    [standing] = ladder.standing([registrant_id], Stage.SELECTED, or_above=True).values()
    return mask_phone(standing.open().phone)


@signed_in
def link_account(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """The first account. Another one takes its place only with proof: that is another page."""
    now = pg.now()
    found = _member(registrant, now)
    if found is None or found.ended_at:
        return redirect("status")
    if request.method != "POST" and statement.of(registrant.pk).account:
        return redirect("account")
    form = AccountForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        told = form.cleaned_data
        [outcome] = linking.link([linking.Link(registrant.pk, told["payer"], told["number"], now)])
        match outcome:
            case linking.Outcome.LINKED | linking.Outcome.ALREADY:
                return redirect("account")
            case linking.Outcome.HAS_ANOTHER:
                return redirect("change_account")
            case linking.Outcome.NOT_A_RECIPIENT:
                return redirect("status")
            case _:
                form.add_error("number", refusal_of_number(outcome.name))
    change = statement.of(registrant.pk).change
    context = {"form": form, "membership": found, "change": change, "here": "account"}
    return render(request, "registrants/link_account.html", context, status=422 if form.is_bound else 200)


def refusal_of_number(outcome: str) -> str:
    """Why an account of this number is not linked, by the name of the outcome."""
    if outcome == "TAKEN":
        return _(
            "This account is linked to another registrant. Each person has an account of their own; "
            "if this one is yours, call us at 0800-150-3001."
        )
    return _("This is not a number of that bank or e-wallet. Compare it digit by digit.")


@require_POST
@signed_in
def check_again(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """It is in order now, says its owner: ask the bank or e-wallet once more."""
    now = pg.now()
    found = _member(registrant, now)
    if found is None:
        return redirect("status")
    [outcome] = checking.again([registrant.pk], at=now)
    if outcome is not checking.Again.TOO_SOON:
        return redirect("account")
    told = statement.of(registrant.pk)
    last = told.account.checked_at if told.account else None
    context = _of_account(registrant, told, found, now, not_before=(last or now) + checking.PAUSE)
    return render(request, "registrants/account.html", context, status=409)


@require_POST
@signed_in
def stop_change(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """A change that somebody has asked for without the phone of before: the owner objects."""
    changing.cancel(registrant.pk, at=pg.now())
    return redirect("account")


# The incentives


@require_safe
@signed_in
def incentives_page(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """Each incentive: when, how much, where it is, or the one thing that blocks it and who must act."""
    now = pg.now()
    found = _member(registrant, now)
    if found is None:
        return redirect("status")
    told = statement.of(registrant.pk)
    rules = _rules(registrant, now)
    context = {
        "membership": found,
        "months": [line for line in told.lines if not line.is_survey],
        "paid_surveys": [line for line in told.lines if line.is_survey],
        "surveys": told.surveys_at(now),
        "account": told.account,
        "waits": _waits(told),
        "gate": _gate(told.lines),
        "first": _first_training(registrant),
        "received": told.totals.get(State.PAID, 0),
        "rules": rules,
        "package_months": rules.months * rules.monthly,
        "package_surveys": rules.surveys * rules.survey,
        "monthly": rules.monthly,
        "now": now,
        "State": State,
        "Gate": Gate,
        "Actor": Actor,
    }
    return render(request, "registrants/incentives.html", context)


def _first_training(registrant: Registrant) -> Purchase | None:
    """The completed training that opens the incentives."""
    mine = Purchase.objects.filter(registrant_id=registrant.pk, is_first=True)
    return mine.select_related("training__provider").first()


def _gate(lines: list[Line]) -> Line | None:
    """The incentive that is blocked first: what blocks it blocks all that come after."""
    return next((line for line in lines if line.gate), None)


def _waits(told: Statement) -> bool:
    """Whether the account is still being checked."""
    return told.account is not None and told.account.checked_at is None


@signed_in
def survey_page(request: HttpRequest, registrant: Registrant, survey: int) -> HttpResponse:
    """Three questions; whoever answers in time is paid for it."""
    now = pg.now()
    told = statement.of(registrant.pk)
    found = next((one for one in told.surveys_at(now) if one.window.survey == survey), None)
    if found is None:
        raise Http404
    if found.state != "open":
        return redirect("incentives")
    form = SurveyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        surveys.answer([surveys.Answer(registrant.pk, survey, now, told=form.cleaned_data)])
        return redirect("incentives")
    rules = _rules(registrant, now)
    context = {
        "form": form,
        "survey": found,
        "amount": rules.survey,
        "within": rules.survey_paid_within.days,
    }
    return render(request, "registrants/survey.html", context, status=422 if form.is_bound else 200)
