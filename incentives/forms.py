"""What a recipient types about the money: the account it goes to."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from incentives.payers import PAYERS, Form, tidy
from registrations.inputs import looks_shortened, plain_digits

_NUMBER = {"inputmode": "numeric", "autocomplete": "off", "spellcheck": "false", "maxlength": 30}


def _said(payer: Form) -> Any:
    """A payer as it is chosen, with what its numbers look like."""
    if payer.is_wallet:
        return f"{payer.name} (08...)"
    return _("%(name)s (%(digits)s digits)") % {"name": payer.name, "digits": payer.digits[0]}


class AccountForm(forms.Form):
    """A bank or an e-wallet, and the number there."""

    payer = forms.ChoiceField(
        label=_("Where is your account?"),
        choices=[(code, _said(payer)) for code, payer in PAYERS.items()],
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose a bank or an e-wallet."),
            "invalid_choice": _("Choose a bank or an e-wallet."),
        },
    )
    number = forms.CharField(
        label=_("Account number"),
        help_text=_("Of a bank, the account number; of an e-wallet, the phone number that it is registered with."),
        widget=forms.TextInput(_NUMBER),
        error_messages={"required": _("Type the number of your account.")},
    )

    def __init__(self, data: Any = None, *, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        self.use_required_attribute = False

    def clean(self) -> dict[str, Any]:
        """The number as its payer writes it; what is wrong with it is told by what that payer's numbers look like."""
        told = self.cleaned_data
        if "payer" in told and "number" in told:
            payer = PAYERS[told["payer"]]
            number = (
                _as_dialled(tidy(plain_digits(told["number"]))) if payer.is_wallet else tidy(plain_digits(told["number"]))
            )
            if fault := _fault(payer, number):
                self.add_error("number", fault)
            told["number"] = number
        return told


def _as_dialled(number: str) -> str:
    """An e-wallet's number with the 0 in front, however its country code is written."""
    for prefix in ("+62", "0062", "62"):
        if number.startswith(prefix):
            return "0" + number.removeprefix(prefix).removeprefix("0")
    return number


def _fault(payer: Form, number: str) -> ValidationError | None:
    if payer.well_formed(number):
        return None
    least, most = payer.digits
    told = {"name": payer.name, "least": least, "most": most, "count": len(number)}
    if looks_shortened(number):
        return ValidationError(_("This number was shortened. Type all its digits."), code="shortened")
    if not (number.isascii() and number.isdecimal()):
        return ValidationError(_("An account number has digits only."), code="not_a_number")
    if payer.is_wallet and not number.startswith("08"):
        message = _("The number of an e-wallet is a mobile number: it begins with 08.")
        return ValidationError(message, code="not_a_phone")
    if least == most:
        message = _("A number of %(name)s has %(least)s digits; this one has %(count)s.")
    else:
        message = _("A number of %(name)s has %(least)s to %(most)s digits; this one has %(count)s.")
    return ValidationError(message, code="length", params=told)


class SurveyForm(forms.Form):
    """What became of somebody after the training: three questions, each answered by one tap."""

    work = forms.TypedChoiceField(
        label=_("What do you do now?"),
        coerce=int,
        choices=[
            (1, _("I work for somebody")),
            (2, _("I have a business of my own")),
            (3, _("I look for work")),
            (4, _("None of these")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one answer.")},
    )
    helped = forms.TypedChoiceField(
        label=_("Has the training helped you find work, or earn more?"),
        coerce=int,
        choices=[(1, _("Yes")), (2, _("A little")), (3, _("Not yet")), (4, _("No"))],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one answer.")},
    )
    spent = forms.TypedChoiceField(
        label=_("What did you use most of the incentive for?"),
        coerce=int,
        choices=[
            (1, _("Food and daily needs")),
            (2, _("Capital for my business")),
            (3, _("Looking for work, or getting there")),
            (4, _("Debts")),
            (5, _("Savings")),
            (6, _("Something else")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one answer.")},
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self.use_required_attribute = False
