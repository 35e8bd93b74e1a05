"""What a registrant types about trainings: what they look for, and what they say of one that they have completed."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import formats
from django.utils.translation import gettext_lazy as _

from partners.models import Partner
from trainings import reviewing
from trainings.models import Training

#: In rupiah: up to so much.
PRICES = (250_000, 500_000, 750_000)
LONGEST_SEARCH = 100
#: The value of the price's filter that stands for what one has left.
AFFORDABLE = "saldo"


class FilterForm(forms.Form):
    """What the catalogue is narrowed by. Nobody is told off: what is no filter of ours narrows nothing."""

    q = forms.CharField(label=_("What do you want to learn?"), required=False, max_length=LONGEST_SEARCH)
    mode = forms.ChoiceField(label=_("How it is given"), required=False)
    price = forms.ChoiceField(label=_("Price"), required=False)
    platform = forms.ChoiceField(label=_("Sold by"), required=False)

    def __init__(self, data: Any, *, balance: int | None) -> None:
        super().__init__(data)
        self.balance = balance
        self.fields["q"].widget = forms.TextInput({"type": "search", "autocomplete": "off", "maxlength": LONGEST_SEARCH})
        self._offer("mode", [("", _("All")), *Training.Mode.choices])
        prices: list[tuple[str, Any]] = [("", _("Any price"))]
        if balance is not None:
            prices.append((AFFORDABLE, _("Within my balance")))
        for price in PRICES:
            amount = formats.number_format(price, decimal_pos=0, force_grouping=True)
            prices.append((str(price), _("Up to Rp%(amount)s") % {"amount": amount}))
        self._offer("price", prices)
        platforms = Partner.objects.filter(is_platform=True, is_active=True).order_by("name")
        self._offer("platform", [("", _("All platforms")), *platforms.values_list("code", "name")])

    def _offer(self, name: str, choices: list[tuple[Any, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        field.choices = choices

    @property
    def asked(self) -> dict[str, str]:
        """The filters that hold."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}

    @property
    def is_narrow(self) -> bool:
        """Whether it is narrowed by more than what is looked for."""
        return bool(self.asked.keys() - {"q"})

    def narrow(self, trainings: QuerySet[Training]) -> QuerySet[Training]:
        asked = self.asked
        for word in asked.get("q", "").split():
            found = Q(title__icontains=word) | Q(provider__name__icontains=word) | Q(schedule__icontains=word)
            trainings = trainings.filter(found | Q(code__iexact=word))
        if mode := asked.get("mode"):
            trainings = trainings.filter(mode=mode)
        if price := asked.get("price"):
            trainings = trainings.filter(price__lte=(self.balance or 0) if price == AFFORDABLE else int(price))
        if platform := asked.get("platform"):
            trainings = trainings.filter(platform=platform)
        return trainings


class ReviewForm(forms.Form):
    """From 1 to 5, and why."""

    rating = forms.TypedChoiceField(
        label=_("How good was the training?"),
        coerce=int,
        choices=[
            (5, _("5: very good")),
            (4, _("4: good")),
            (3, _("3: fair")),
            (2, _("2: poor")),
            (1, _("1: very poor")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose a rating from 1 to 5."), "invalid_choice": _("Choose a rating from 1 to 5.")},
    )
    text = forms.CharField(
        label=_("What did you learn, and what should be better?"),
        help_text=_("One sentence is enough. Others who look for a training read it: no names and no numbers, please."),
        widget=forms.Textarea({"rows": 5, "autocomplete": "off"}),
        error_messages={"required": _("Write a review: without one, we may not pay your incentives.")},
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        self.use_required_attribute = False

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if len(text) > reviewing.LONGEST:
            raise ValidationError(
                _("A review has at most %(most)s characters; this one has %(count)s."),
                code="too_long",
                params={"most": reviewing.LONGEST, "count": len(text)},
            )
        return text
