"""What is wrong with a form, as the summary on top of its page lists it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django import forms, template

register = template.Library()


class Problem(NamedTuple):
    message: str
    #: The id of the input to jump to; empty for a problem of the form as a whole.
    input_id: str


@register.simple_tag(takes_context=True)
def problems(context: Mapping[str, Any]) -> list[Problem]:
    """The errors of the page's `form`, in the order of its fields, without those that its box of `doubts` explains."""
    form = context.get("form")
    if form is None:
        return []
    explained = {str(doubt.message) for doubt in context.get("doubts") or []}
    return [problem for problem in _all(form) if problem.message not in explained]


def _all(form: forms.BaseForm) -> Iterator[Problem]:
    for message in form.non_field_errors():
        yield Problem(str(message), "")
    for field in form.visible_fields():
        # A group of inputs has no id of its own: jump to its first one.
        input_id = f"{field.auto_id}_0" if field.use_fieldset else field.id_for_label
        for message in field.errors:
            yield Problem(str(message), input_id)
