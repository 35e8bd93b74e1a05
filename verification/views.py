"""The pages on which people prove things, sign in, see where they stand and put right what was wrong."""

from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from foundation import pg
from registrations import drafts
from registrations.forms import CodeForm, EmailForm, IdentityForm, PhoneForm
from registrations.inputs import mask_email, mask_phone
from registrations.models import Draft, Registrant
from registrations.session import SESSION_KEY, sign_in_as, signed_in
from registrations.stages import DropOff, Stage
from registrations.views import draft_of, first_unanswered, sign_up_of, with_draft
from verification import codes, delivery, identity, links, phone, signin, status
from waves import joining
from waves.mine import applications, membership
from waves.state import open_wave

# The mailed link


@never_cache
def check_mail(request: HttpRequest) -> HttpResponse:
    """After the sign-up: look into your mailbox. The same page whether or not the address was taken."""
    draft = draft_of(request)
    if draft is None or not draft.finished:
        return redirect("sign_up")
    return _check_mail_page(request, draft)


def _check_mail_page(request: HttpRequest, draft: Draft, *, sent: bool = False) -> HttpResponse:
    context = {"email_masked": mask_email(drafts.answers(draft)["email"]), "wait": drafts.wait_for_mail(draft), "sent": sent}
    return render(request, "registrants/check_mail.html", context)


@require_POST
@never_cache
def resend_mail(request: HttpRequest) -> HttpResponse:
    draft = draft_of(request)
    if draft is None or not draft.finished:
        return redirect("sign_up")
    sent = not drafts.mail_again(draft)
    draft.refresh_from_db()
    return _check_mail_page(request, draft, sent=sent)


@never_cache
def change_email(request: HttpRequest) -> HttpResponse:
    """The address was mistyped: another one, as long as none is verified."""
    draft = draft_of(request)
    if draft is None or not draft.finished:
        return redirect("sign_up")
    form = EmailForm(request.POST if request.method == "POST" else None, initial=drafts.answers(draft))
    if form.is_valid():
        email = form.cleaned_data["email"]
        if wait := drafts.change_email(draft, email):
            form.add_error("email", _("Please wait %(seconds)s seconds, then send it again.") % {"seconds": wait})
        elif draft.registrant_id is None:
            drafts.finish(draft, sign_up_of(draft, drafts.answers(draft) | {"email": email}))
        else:
            links.change_address(draft.registrant_id, email)
    if form.is_valid():
        return redirect("check_mail")
    context = {"form": form, "title": _("Your e-mail address"), "doubts": form.doubts}
    return render(request, "registrants/change_email.html", context, status=422 if form.is_bound else 200)


@never_cache
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """The mailed link. A mail scanner's GET changes nothing: the button's POST verifies."""
    link = links.Link.read(token)
    if link is None:
        return render(request, "registrants/link_used.html", status=404)
    if request.method != "POST":
        return render(request, "registrants/open_link.html")
    [outcome] = links.open_links([links.Opened(token)])
    match outcome:
        case links.Outcome.VERIFIED | links.Outcome.TAKEN:
            sign_in_as(request, link.registrant_id)
            return redirect("status")
        case links.Outcome.ALREADY if request.session.get(SESSION_KEY) == link.registrant_id:
            return redirect("status")  # a second click
        case _:
            return render(request, "registrants/link_used.html", status=410)


# The one-time code


@signed_in
def code(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    if registrant.stage != Stage.IDENTITY_VERIFIED:
        return redirect("status")
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        [outcome] = phone.type_codes([phone.Typed(registrant.pk, form.cleaned_data["code"])])
        if outcome in (phone.Outcome.VERIFIED, phone.Outcome.TAKEN):
            return redirect("status")
        form.add_error("code", _refusal(outcome is phone.Outcome.TOO_MANY))
    return _code_page(request, registrant, form)


def _refusal(too_many: bool) -> str:
    if too_many:
        return _("Too many tries. For your safety the code page is closed for now; come back in 24 hours.")
    # One text for wrong, expired and used: it tells a guesser nothing.
    return _("This code is not right, or no longer works. Check the newest SMS, or ask for a new code.")


def _code_page(request: HttpRequest, registrant: Registrant, form: CodeForm, *, sent: bool = False) -> HttpResponse:
    sendable = codes.sendable(registrant.pk)
    return render(
        request,
        "registrants/code.html",
        {
            "form": form,
            "title": _("Type the code"),
            "phone_masked": mask_phone(signin.open_person(registrant.pk).phone),
            "wait": sendable.wait,
            "no_more": sendable.never,
            "live": sendable.live,
            "news": delivery.news(registrant.pk).value,
            "number_dead": registrant.drop_off == DropOff.NUMBER_DEAD,
            "sent": sent,
        },
        status=422 if form.is_bound else 200,
    )


@require_POST
@signed_in
def resend_code(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    if registrant.stage != Stage.IDENTITY_VERIFIED:
        return redirect("status")
    sent = phone.send_code(registrant.pk)
    return _code_page(request, registrant, CodeForm(), sent=sent)


@signed_in
def change_phone(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    if registrant.stage != Stage.IDENTITY_VERIFIED:
        return redirect("status")
    form = PhoneForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        phone.change_number(registrant.pk, form.cleaned_data["phone"])
        return redirect("code")
    context = {"form": form, "title": _("Another phone number"), "doubts": form.doubts}
    return render(request, "registrants/phone.html", context, status=422 if form.is_bound else 200)


# Where I stand


@require_safe
@signed_in
def status_page(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    now = pg.now()
    waves = applications(registrant.pk, now) if registrant.stage >= Stage.PHONE_VERIFIED else []
    mine = membership(registrant.pk, now) if registrant.stage >= Stage.SELECTED else None
    return render(
        request,
        "registrants/status.html",
        {
            "registrant": registrant,
            "person_name": signin.open_person(registrant.pk).name,
            "ladder": status.ladder(registrant),
            "reason": status.why(registrant),
            "next_step": status.next_step(registrant, waves, mine),
            "waves": waves,
            "membership": mine,
            "buys_first": registrant.stage == Stage.SELECTED,
            "waits_for_us": status.waits_for_us(registrant),
            "wave": registrant.wave_id,
        },
    )


@signed_in
def correct_identity(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """NIK, KK number, birth date and name once more, after Dukcapil has said no."""
    if registrant.stage != Stage.EMAIL_VERIFIED or not registrant.drop_off:
        return redirect("status")
    person = signin.open_person(registrant.pk)
    initial = {
        "name": person.name,
        "nik": person.nik,
        "kk": person.kk,
        "birth_date": person.birth_date,
        "sex": registrant.sex,
    }
    form = IdentityForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        changes = {name: form.cleaned_data[name] for name in ("name", "nik", "kk", "birth_date")}
        identity.correct(registrant.pk, sex=form.cleaned_data["sex"], **changes)
        return redirect("status")
    context = {"form": form, "title": _("Correct my data"), "doubts": form.doubts, "reason": status.why(registrant)}
    return render(request, "registrants/correct_identity.html", context, status=422 if form.is_bound else 200)


# Waves


@require_POST
@signed_in
def join_wave(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """One click, and a second one changes nothing. Whether the wave is open, the database's clock says."""
    wave = open_wave(pg.now())
    outcome = joining.join(wave.number, [registrant.pk])[0] if wave else joining.Outcome.NOT_OPEN
    if outcome in (joining.Outcome.JOINED, joining.Outcome.ALREADY):
        return redirect("status")
    return render(request, "registrants/not_joined.html", {"reason": _NOT_JOINED[outcome]}, status=409)


_NOT_JOINED = {
    joining.Outcome.NOT_OPEN: gettext_lazy("No wave is open now: it has just closed."),
    joining.Outcome.NOT_READY: gettext_lazy("Only who is fully verified and has not been selected yet can join a wave."),
    joining.Outcome.ELSEWHERE: gettext_lazy("You have joined another wave, whose result is not known yet."),
}


@require_POST
@signed_in
def leave_wave(request: HttpRequest, registrant: Registrant, wave: int) -> HttpResponse:
    if joining.leave(wave, registrant.pk):
        return redirect("status")
    reason = _("A wave can be left until it closes.")
    return render(request, "registrants/not_joined.html", {"reason": reason}, status=409)


# Signing in and out


@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    form = EmailForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        signin.ask_by_email(form.cleaned_data["email"])
        return render(request, "registrants/sign_in_sent.html", {"email": form.cleaned_data["email"]})
    context = {"form": form, "by": "email", "doubts": form.doubts}
    return render(request, "registrants/sign_in.html", context, status=422 if form.is_bound else 200)


@never_cache
def use_sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """The mailed link: a GET shows a button, its POST signs in, once."""
    if request.method != "POST":
        return render(request, "registrants/open_link.html", {"purpose": "sign_in"})
    found = signin.use_link(token)
    if found and found.registrant_id:
        sign_in_as(request, found.registrant_id)
        return redirect("status")
    if found and found.draft_id and (draft := drafts.find(found.draft_id)):
        # Where they stopped: nobody answers twice.
        return with_draft(redirect("sign_up_step", step=first_unanswered(drafts.answers(draft))), draft.id)
    return render(request, "registrants/link_used.html", status=410)


PHONE_KEY = "signing_in_by_phone"


@never_cache
def sign_in_by_phone(request: HttpRequest) -> HttpResponse:
    form = PhoneForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        # Whoever it is, the next page is the same.
        request.session[PHONE_KEY] = signin.ask_by_phone(form.cleaned_data["phone"])
        return redirect("sign_in_code")
    context = {"form": form, "by": "sms", "doubts": form.doubts}
    return render(request, "registrants/sign_in.html", context, status=422 if form.is_bound else 200)


@never_cache
def sign_in_code(request: HttpRequest) -> HttpResponse:
    if PHONE_KEY not in request.session:
        return redirect("sign_in_phone")
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        digest = request.session[PHONE_KEY]
        if registrant_id := signin.use_code(digest, form.cleaned_data["code"]):
            sign_in_as(request, registrant_id, phone=digest)
            return redirect("status")
        form.add_error("code", _refusal(too_many=False))
    context = {"form": form, "purpose": "sign_in"}
    return render(request, "registrants/code.html", context, status=422 if form.is_bound else 200)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return redirect("home")
