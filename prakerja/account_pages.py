"""A recipient changes what money and codes go to: the account, and the phone. Here, above both, codes meet incentives."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from foundation import pg
from incentives import changing
from incentives.changing import Identity, Outcome
from incentives.forms import AccountForm
from incentives.models import Account
from incentives.views import refusal_of_number
from prakerja import new_phone
from registrations.forms import BirthDateField, CleanField, PageForm, PhoneForm
from registrations.inputs import mask_phone
from registrations.models import Registrant
from registrations.nik import parse_kk, parse_nik
from registrations.person import phone_digest
from registrations.session import sign_in_as, signed_in
from verification import codes, phone, signin
from waves.mine import membership

_NOT_PROVEN = gettext_lazy("This code is not right, or no longer works. Check the newest SMS, or ask for a new code.")
_AGAIN = gettext_lazy("Ask for a new code, too: a code works once.")


def _may_change(registrant: Registrant) -> bool:
    found = membership(registrant.pk, pg.now())
    return found is not None and not found.ended_at


def _present_phone(registrant: Registrant) -> str:
    return signin.open_person(registrant.pk).phone


def _is_code(registrant: Registrant, code: str) -> bool:
    """Whether this is the newest code to the phone of now. In a transaction."""
    return codes.check([codes.Typed(registrant.pk, code)]) == [codes.Check.RIGHT]


# Another account


def _code_field(label: Any) -> forms.CharField:
    box = forms.TextInput({"inputmode": "numeric", "autocomplete": "one-time-code", "maxlength": 12})
    return forms.CharField(label=label, widget=box, error_messages={"required": gettext_lazy("Type the code from the SMS.")})


def _clean_code(text: str) -> str:
    digits = "".join(text.split()).replace("-", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) == codes.DIGITS):
        raise ValidationError(_("The code has six digits."), code="shape")
    return digits


class ChangeAccountForm(AccountForm):
    """Another account, and a code to the phone of now."""

    code = _code_field(gettext_lazy("Code from the SMS"))

    def clean_code(self) -> str:
        return _clean_code(self.cleaned_data["code"])


@signed_in
def change_account(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """First, a code is sent to the phone of now."""
    if not _may_change(registrant) or not Account.objects.filter(registrant_id=registrant.pk, ended_at=None).exists():
        return redirect("account")
    sendable = codes.sendable(registrant.pk)
    if request.method == "POST" and (phone.send_code(registrant.pk) or codes.sendable(registrant.pk).live):
        return redirect("change_account_code")
    context = {
        "phone_masked": mask_phone(_present_phone(registrant)),
        "wait": sendable.wait,
        "live": sendable.live,
        "no_more": sendable.never,
    }
    return render(request, "registrants/change_account.html", context)


@signed_in
def change_account_code(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """The code and the other account, together."""
    if not _may_change(registrant):
        return redirect("account")
    form = ChangeAccountForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        told = form.cleaned_data
        outcome = changing.change(
            registrant.pk,
            told["payer"],
            told["number"],
            proof=lambda: _is_code(registrant, told["code"]),
            at=pg.now(),
        )
        match outcome:
            case Outcome.CHANGED | Outcome.ALREADY | Outcome.NOT_A_RECIPIENT:
                return redirect("account")
            case Outcome.NOT_PROVEN:
                form.add_error("code", _NOT_PROVEN)
            case _:
                form.add_error("number", refusal_of_number(outcome.name))
                form.add_error("code", _AGAIN)
    sendable = codes.sendable(registrant.pk)
    context = {
        "form": form,
        "phone_masked": mask_phone(_present_phone(registrant)),
        "wait": sendable.wait,
        "no_more": sendable.never,
    }
    return render(request, "registrants/change_account_code.html", context, status=422 if form.is_bound else 200)


# Another phone


class NewPhoneForm(PhoneForm):
    """The number that is to take the place of the present one, and whether that one can still be read."""

    has_old = forms.TypedChoiceField(
        choices=[("1", gettext_lazy("Yes")), ("0", gettext_lazy("No, it is lost"))],
        coerce=lambda value: value == "1",
        widget=forms.RadioSelect,
        empty_value=None,
    )

    def __init__(self, data: Any = None, *, present: str) -> None:
        super().__init__(data)
        self.fields["phone"].label = _("New mobile phone number")
        self.fields["has_old"].label = _("Can you read an SMS on your present number, %(number)s?") % {"number": present}
        self.fields["has_old"].error_messages["required"] = _("Choose yes or no.")


class TwoCodesForm(PageForm):
    """A code to each of the two phones."""

    old_code = _code_field(gettext_lazy("Code to your present number"))
    code = _code_field(gettext_lazy("Code to your new number"))

    def clean_old_code(self) -> str:
        return _clean_code(self.cleaned_data["old_code"])

    def clean_code(self) -> str:
        return _clean_code(self.cleaned_data["code"])


class LostPhoneForm(PageForm):
    """Who somebody is whose phone is lost, and a code to the new one."""

    nik = CleanField(
        lambda text: parse_nik(text).text,
        label=gettext_lazy("NIK"),
        help_text=gettext_lazy("The 16 digits on top of your KTP."),
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off", "maxlength": 30}),
    )
    kk = CleanField(
        parse_kk,
        label=gettext_lazy("KK number"),
        help_text=gettext_lazy("The 16 digits on top of your family card (Kartu Keluarga)."),
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off", "maxlength": 30}),
    )
    birth_date = BirthDateField(label=gettext_lazy("Birth date"), help_text=gettext_lazy("For example 17 8 1995."))
    code = _code_field(gettext_lazy("Code to your new number"))

    def clean_code(self) -> str:
        return _clean_code(self.cleaned_data["code"])


@signed_in
def change_phone(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """Which number, and can the present one be read: then codes are sent."""
    if not _may_change(registrant):
        return redirect("account")
    form = NewPhoneForm(request.POST if request.method == "POST" else None, present=mask_phone(_present_phone(registrant)))
    if form.is_valid():
        number, has_old = form.cleaned_data["phone"], form.cleaned_data["has_old"]
        if number == _present_phone(registrant):
            form.add_error("phone", _("This is the number that we have already."))
        elif wanted := new_phone.send(registrant.pk, number):
            if has_old:
                phone.send_code(registrant.pk)
            return _codes_page(request, registrant, wanted, TwoCodesForm() if has_old else LostPhoneForm(), status=200)
        else:
            seconds = new_phone.wait(registrant.pk)
            form.add_error("phone", _("Please wait %(seconds)s seconds, then send it again.") % {"seconds": seconds})
    context = {"form": form, "doubts": form.doubts}
    return render(request, "registrants/change_phone.html", context, status=422 if form.is_bound else 200)


@signed_in
def change_phone_code(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """The codes, or the identity in place of the one that cannot be read."""
    wanted = new_phone.from_form(registrant.pk, request.POST.get("wanted", ""))
    if wanted is None or not _may_change(registrant):
        return redirect("change_own_phone")
    form = TwoCodesForm(request.POST) if "old_code" in request.POST else LostPhoneForm(request.POST)
    if form.is_valid():
        outcome = _change(registrant, wanted, form)
        match outcome:
            case Outcome.CHANGED:
                # Browsers that the phone of before has signed in are signed out by this; in this one, the new phone was shown, too.
                sign_in_as(request, registrant.pk, phone=phone_digest(wanted.phone))
                return redirect("account")
            case Outcome.ALREADY | Outcome.ASKED | Outcome.NOT_A_RECIPIENT:
                return redirect("account")
            case Outcome.NOT_PROVEN if isinstance(form, LostPhoneForm):
                form.add_error(
                    None, _("Your data and the code do not all match. Compare them with your cards and the newest SMS.")
                )
            case Outcome.NOT_PROVEN:
                form.add_error(
                    None, _("One of the codes is not right, or no longer works. Check the newest SMS on each phone.")
                )
            case Outcome.TAKEN:
                form.add_error(None, _("This phone number belongs to another registration. Give another one."))
            case Outcome.WAITS:
                form.add_error(None, _("Another change is waiting already: see the page of your account."))
            case _:
                form.add_error(None, _("You have tried too often. Come back in an hour."))
    return _codes_page(request, registrant, wanted, form, status=422)


def _change(registrant: Registrant, wanted: new_phone.Wanted, form: PageForm) -> Outcome:
    told, now = form.cleaned_data, pg.now()
    if isinstance(form, TwoCodesForm):
        return changing.change_phone(
            registrant.pk,
            wanted.phone,
            proof=lambda: _is_code(registrant, told["old_code"]) and new_phone.is_right(registrant.pk, wanted, told["code"]),
            at=now,
        )
    return changing.ask(
        registrant.pk,
        changing.Wanted(wanted.phone),
        identity=Identity(told["nik"], told["kk"], told["birth_date"]),
        proof=lambda: new_phone.is_right(registrant.pk, wanted, told["code"]),
        at=now,
    )


def _codes_page(
    request: HttpRequest, registrant: Registrant, wanted: new_phone.Wanted, form: PageForm, *, status: int
) -> HttpResponse:
    context = {
        "form": form,
        "wanted": new_phone.to_form(registrant.pk, wanted),
        "new_masked": mask_phone(wanted.phone),
        "old_masked": mask_phone(_present_phone(registrant)),
        "is_lost": isinstance(form, LostPhoneForm),
    }
    return render(request, "registrants/change_phone_code.html", context, status=status)
