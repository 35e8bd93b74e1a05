"""The pages of the sign-up, one form each. What is typed is checked here, in plain words, before anything is asked of anybody."""

from collections.abc import Callable, Mapping
from copy import copy
from datetime import date
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from registrations import inputs
from registrations.models import Education, Employment, Sex
from registrations.nik import Doubt, kk_guard, parse_kk, parse_nik, typo_guard
from registrations.regions import Province


def cleaned(clean: Callable[[str], Any]) -> Callable[[str], Any]:
    """A form's validator and converter of one of ours, which raises `InputError`."""

    def convert(value: str) -> Any:
        try:
            return clean(value)
        except inputs.InputError as error:
            raise ValidationError(error.message, code=error.code) from error

    return convert


class CleanField(forms.CharField):
    """A text field whose value is checked and put into form by one of our functions."""

    def __init__(self, clean: Callable[[str], Any], **options: Any) -> None:
        # NUL bytes and lengths are told of by `clean`, in plain words.
        super().__init__(strip=False, **options)
        self.validators = []
        self._convert = cleaned(clean)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return self._convert(text) if text.strip() else self._missing()

    def _missing(self) -> str:
        if self.required:
            raise ValidationError(self.error_messages["required"], code="required")
        return ""


class BirthDateWidget(forms.MultiWidget):
    """Day, month and year in a box each: quicker to type than any calendar is to leaf through."""

    template_name = "registrants/widgets/birth_date.html"
    use_fieldset = True

    def __init__(self) -> None:
        box = {"inputmode": "numeric", "autocomplete": "off"}
        super().__init__(
            [
                forms.TextInput({**box, "autocomplete": "bday-day", "maxlength": 2}),
                forms.TextInput({**box, "autocomplete": "bday-month", "maxlength": 2}),
                forms.TextInput({**box, "autocomplete": "bday-year", "maxlength": 4}),
            ]
        )

    def decompress(self, value: date | str | None) -> list[Any]:
        if isinstance(value, str):
            value = date.fromisoformat(value)
        return [value.day, value.month, value.year] if value else [None, None, None]


class BirthDateField(forms.MultiValueField):
    widget = BirthDateWidget

    def __init__(self, **options: Any) -> None:
        parts = [forms.CharField(required=False, strip=True) for _ in range(3)]
        super().__init__(parts, require_all_fields=False, **options)

    def clean(self, value: Any) -> date | None:
        parts = [str(part or "").strip() for part in value or []]
        if not any(parts):
            raise ValidationError(self.error_messages["required"], code="required")
        if not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):
            raise ValidationError(_("Give day, month and year as numbers, for example 17 8 1995."), code="invalid")
        day, month, year = map(int, parts)
        try:
            born = date(year, month, day)
        except ValueError as error:
            raise ValidationError(_("There is no such date: check day, month and year."), code="no_such_date") from error
        return cleaned(lambda _: inputs.clean_birth_date(born, timezone.localdate()))("")  # type: ignore[no-any-return]


class Choice(forms.TypedChoiceField):
    """A choice whose options never change: all forms share them. Copied for each, 38 provinces would cost more than all checks."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Choice":
        copied = copy(self)
        copied.error_messages = self.error_messages.copy()
        copied.widget = copy(self.widget)
        memo[id(self)] = copied
        return copied


class Shown(NamedTuple):
    """A doubt as the page shows it."""

    message: Any
    blocking: bool
    #: The digits of the number in question, and whether each one is doubtful.
    digits: list[tuple[str, bool]]


class PageForm(forms.Form):
    """A page of the sign-up."""

    #: Ticked beside the doubts.
    confirmed = forms.BooleanField(required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: What is probably a slip, to be looked at on top of the page.
        self.doubts: list[Shown] = []
        self.use_required_attribute = False
        for name, field in self.fields.items():
            field.error_messages["required"] = _REQUIRED.get(name, _("Please fill this in."))

    def visible_fields(self) -> list[forms.BoundField]:
        """All but the confirmation, which stands beside the doubts."""
        return [field for field in super().visible_fields() if field.name != "confirmed"]

    def doubt(self, doubt: Doubt) -> None:
        """Point at a probable slip: a contradiction must be corrected, a mere doubt need only be confirmed once."""
        if not doubt.blocking and self.cleaned_data.get("confirmed"):
            return
        number = self.cleaned_data.get(doubt.field, "")
        digits = [(digit, at in doubt.positions) for at, digit in enumerate(number, start=1)] if doubt.positions else []
        self.doubts.append(Shown(doubt.message, doubt.blocking, digits))
        self.add_error(doubt.field, ValidationError(doubt.message, code=doubt.code))


_REQUIRED: Mapping[str, Any] = {
    "email": _("Type your e-mail address."),
    "name": _("Type your name as it stands on your KTP."),
    "nik": _("Type your NIK: the 16 digits on top of your KTP."),
    "kk": _("Type the 16 digits on top of your family card (KK)."),
    "birth_date": _("Type your birth date."),
    "sex": _("Choose what stands on your KTP."),
    "phone": _("Type your mobile phone number."),
    "citizen": _("Choose yes or no."),
    "studying": _("Choose yes or no."),
    "education": _("Choose your education."),
    "employment": _("Choose what fits you best."),
    "province": _("Choose the province in which you live."),
    "consent": _("Without your consent we may not register you."),
    "code": _("Type the code from the SMS."),
}


class EmailForm(PageForm):
    email = CleanField(
        inputs.clean_email,
        label=_("E-mail address"),
        help_text=_("We send a link there. Take an address that you can read now."),
        widget=forms.EmailInput({"autocomplete": "email", "inputmode": "email", "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        email = self.cleaned_data.get("email")
        if email and (hint := inputs.email_hint(email)):
            message = _("Did you mean %(hint)s? If your address is right as typed, continue once more.") % {"hint": hint}
            self.doubt(Doubt(code="email_typo", message=message, field="email", positions=(), blocking=False))
        return self.cleaned_data


class IdentityForm(PageForm):
    name = CleanField(
        inputs.clean_name, label=_("Name"), help_text=_("As on your KTP."), widget=forms.TextInput({"autocomplete": "name"})
    )
    nik = CleanField(
        lambda text: parse_nik(text).text,
        label=_("NIK"),
        help_text=_("The 16 digits on top of your KTP."),
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off", "maxlength": 30}),
    )
    kk = CleanField(
        parse_kk,
        label=_("KK number"),
        help_text=_("The 16 digits on top of your family card (Kartu Keluarga)."),
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "off", "maxlength": 30}),
    )
    birth_date = BirthDateField(label=_("Birth date"), help_text=_("For example 17 8 1995."))
    sex = Choice(label=_("Sex, as on your KTP"), choices=Sex.choices, coerce=int, widget=forms.RadioSelect, initial=None)

    def clean(self) -> dict[str, Any]:
        """The typo guard: NIK, birth date and sex must not contradict each other before Dukcapil is asked."""
        typed = self.cleaned_data
        if typed.get("nik") and typed.get("birth_date"):
            sex = Sex(typed["sex"]) if typed.get("sex") else None
            parsed = parse_nik(typed["nik"])
            doubts = typo_guard(parsed, typed["birth_date"], sex)
            if typed.get("kk"):
                doubts += kk_guard(typed["kk"], parsed)
            for doubt in doubts:
                self.doubt(doubt)
        return typed


class PhoneForm(PageForm):
    phone = CleanField(
        inputs.clean_phone,
        label=_("Mobile phone number"),
        help_text=_("We send a code there by SMS. For example 0812 3456 7890."),
        widget=forms.TextInput({"type": "tel", "inputmode": "tel", "autocomplete": "tel"}),
    )


def _yes_or_no(label: Any, help_text: Any = "") -> Choice:
    return Choice(
        label=label,
        help_text=help_text,
        choices=[("1", _("Yes")), ("0", _("No"))],
        coerce=lambda value: value == "1",
        widget=forms.RadioSelect,
        empty_value=None,
    )


class StatementForm(PageForm):
    citizen = _yes_or_no(_("Are you an Indonesian citizen (WNI)?"))
    studying = _yes_or_no(_("Are you at school or university now?"), _("Courses and trainings do not count."))
    education = Choice(
        label=_("Highest education completed"), choices=[("", "—"), *Education.choices], coerce=int, empty_value=None
    )
    employment = Choice(
        label=_("What do you do now?"), choices=[("", "—"), *Employment.choices], coerce=int, empty_value=None
    )
    province = Choice(
        label=_("Province in which you live"), choices=[("", "—"), *Province.choices], coerce=int, empty_value=None
    )
    consent = forms.BooleanField(
        label=_(
            "I state that what I have told is true. I agree that Kartu Prakerja uses it, and compares it with Dukcapil, "
            "to decide on my participation."
        )
    )


class CodeForm(PageForm):
    code = forms.CharField(
        label=_("Code from the SMS"),
        widget=forms.TextInput({"inputmode": "numeric", "autocomplete": "one-time-code", "maxlength": 12}),
    )

    def clean_code(self) -> str:
        digits = "".join(self.cleaned_data["code"].split()).replace("-", "")
        if not (digits.isascii() and digits.isdigit() and len(digits) == 6):
            raise ValidationError(_("The code has six digits."), code="shape")
        return digits
