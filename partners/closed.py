"""What a partner sends, taken to the letter: a field that is not known, or of another type, is refused and not guessed at."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

#: No training, and no incentive, costs more.
MOST_RUPIAH = 10**12


class Closed(serializers.Serializer[Any]):
    """A serializer that refuses fields which it does not know, or which are not for the sender to set."""

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            takes = {name for name, field in self.fields.items() if not field.read_only}
            errors = {str(name): ["Unknown field."] for name in data if name not in takes}
        try:
            value = super().to_internal_value(data)
        except ValidationError as error:
            if isinstance(error.detail, dict):
                raise ValidationError(error.detail | errors) from None
            raise
        if errors:
            raise ValidationError(errors)
        return value


class Text(serializers.CharField):
    """Text only: a number is not made text of."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A whole number only: neither "12" nor 12.0 nor true; in the bounds of the database, unless others are given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": -(2**63), "max_value": 2**63 - 1} | options)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return data


class Rupiah(Whole):
    """An amount in whole rupiah, 1 or more."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MOST_RUPIAH} | options)


class Flag(serializers.BooleanField):
    """true or false only."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            self.fail("invalid", input=data)
        return data


class Choice(serializers.ChoiceField):
    """One of some words, as they are written."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


class Instant(serializers.DateTimeField):
    """An instant with its offset, as RFC 3339 writes it: 2020-09-15T09:00:00+07:00."""

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str) or not _RFC_3339.fullmatch(value.upper()):
            raise ValidationError("An instant with its offset is wanted, e.g. 2020-09-15T09:00:00+07:00.", code="invalid")
        return super().to_internal_value(value.upper())


Form = type[serializers.Serializer[Any]]


class Nothing(Closed):
    """A body in which nothing may stand."""


class NoQuery(Closed):
    """No query parameters at all."""


def query_form(view: object, method: str | None) -> Form:
    """The form of the query parameters of this method of a view: its `query`, one for all or one for each method."""
    forms: Form | dict[str, Form] = getattr(view, "query", NoQuery)
    if not isinstance(forms, dict):
        return forms
    return forms.get("GET" if method == "HEAD" else method or "", NoQuery)


def checked(form: Form, data: Any) -> dict[str, Any]:
    """What was sent, as this form has it. Raises `ValidationError`."""
    read = form(data=data)
    read.is_valid(raise_exception=True)
    return dict(read.validated_data)


def query(given: QueryDict, form: Form) -> dict[str, Any]:
    """The query parameters as this form has them. Raises `ValidationError`, also for what is unknown or stands twice."""
    twice = [name for name, values in given.lists() if len(values) > 1]
    if twice:
        raise ValidationError({name: ["It stands there twice."] for name in twice})
    return checked(form, given.dict())
