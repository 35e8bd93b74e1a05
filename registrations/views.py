"""Home and sign-up: one thing per page, everything usable without JavaScript."""

from datetime import date
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from foundation import pg
from registrations import drafts, funnel
from registrations.forms import EmailForm, IdentityForm, PageForm, PhoneForm, StatementForm
from registrations.intake import SignUp
from registrations.models import Draft, Education, Employment, Sex, Wave
from registrations.person import Person
from registrations.regions import Province

COOKIE = "daftar"

STEPS: list[tuple[type[PageForm], Any]] = [
    (EmailForm, _("Your e-mail address")),
    (IdentityForm, _("Who you are")),
    (PhoneForm, _("Your mobile phone")),
    (StatementForm, _("Your statement")),
]


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    now = pg.now()
    wave = (
        Wave.objects.filter(Q(closes_at__gt=now) | Q(closes_at=None)).order_by(F("closes_at").asc(nulls_last=True)).first()
    )
    return render(
        request,
        "registrants/home.html",
        {
            "wave": wave,
            "is_open": bool(wave and wave.opens_at and wave.opens_at <= now),
            "registered": funnel.read().registered,
        },
    )


def draft_of(request: HttpRequest) -> Draft | None:
    """The sign-up that this browser is in the middle of, or has just sent in."""
    try:
        return drafts.find(UUID(request.COOKIES.get(COOKIE, "")))
    except ValueError:
        return None


def with_draft(response: HttpResponse, draft_id: UUID) -> HttpResponse:
    """The response, and the browser knows its sign-up from now on."""
    response.set_cookie(
        COOKIE,
        str(draft_id),
        max_age=drafts.LIFE,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


@never_cache
def sign_up(request: HttpRequest, step: int = 1) -> HttpResponse:
    """One page of the sign-up. Nobody gets ahead of the first page that is not answered; going back loses nothing."""
    draft = draft_of(request)
    if draft and draft.finished:
        if step > 1:
            return redirect("check_mail")  # the browser's back button, or a second click
        draft = None  # somebody else signs up on the same phone
    given = drafts.answers(draft) if draft else {}
    if step > (reached := first_unanswered(given)):
        return redirect("sign_up_step", step=reached) if reached > 1 else redirect("sign_up")

    form_class, title = STEPS[step - 1]
    form = form_class(request.POST or None, initial=given) if request.method == "POST" else form_class(initial=given)
    if request.method == "POST" and form.is_valid():
        new = {name: _plain(value) for name, value in form.cleaned_data.items() if name != "confirmed"}
        new["language"] = translation.get_language() or settings.LANGUAGE_CODE
        if draft is None:
            draft = drafts.start(new["email"], new)
        elif step < len(STEPS):
            drafts.keep(draft, new)
        else:
            drafts.finish(draft, sign_up_of(draft, given | new), together=given | new)
            return with_draft(redirect("check_mail"), draft.id)
        return with_draft(redirect("sign_up_step", step=step + 1), draft.id)
    return render(
        request,
        "registrants/sign_up.html",
        {"form": form, "step": step, "steps": len(STEPS), "title": title, "doubts": form.doubts},
        status=422 if form.is_bound else 200,
    )


def first_unanswered(given: dict[str, Any]) -> int:
    """The number of the first page that is not answered yet, or of the last page."""
    for number, (form_class, _title) in enumerate(STEPS, start=1):
        if not all(name in given for name in form_class.base_fields if name != "confirmed"):
            return number
    return len(STEPS)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def sign_up_of(draft: Draft, given: dict[str, Any]) -> SignUp:
    """A finished draft as the intake takes it."""
    person = Person(
        name=given["name"],
        email=given["email"],
        nik=given["nik"],
        kk=given["kk"],
        birth_date=date.fromisoformat(given["birth_date"]),
        phone=given["phone"],
        language=given["language"],
    )
    return SignUp(
        reference=draft.id,
        person=person,
        sex=Sex(given["sex"]),
        province=Province(given["province"]),
        education=Education(given["education"]),
        employment=Employment(given["employment"]),
        citizen=given["citizen"],
        studying=given["studying"],
        registered_at=timezone.now(),
    )
