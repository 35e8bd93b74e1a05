"""The summary of errors on top of a form."""

from typing import Any, NamedTuple

from django import forms

from prakerja.templatetags.problems import problems


class Doubt(NamedTuple):
    message: str


class Page(forms.Form):
    name = forms.CharField(error_messages={"required": "Type your name."})
    sex = forms.ChoiceField(choices=[("1", "M")], widget=forms.RadioSelect, error_messages={"required": "Choose."})

    def clean(self) -> dict[str, Any]:
        raise forms.ValidationError("The two do not fit.")


def test_problems_come_in_order_and_lead_to_their_inputs() -> None:
    assert problems({"form": Page({})}) == [
        ("The two do not fit.", ""),
        ("Type your name.", "id_name"),
        ("Choose.", "id_sex_0"),
    ]


def test_a_problem_that_a_doubt_explains_is_not_told_twice() -> None:
    told = problems({"form": Page({}), "doubts": [Doubt("Choose.")]})

    assert [problem.message for problem in told] == ["The two do not fit.", "Type your name."]


def test_a_page_with_nothing_typed_or_no_form_has_no_problems() -> None:
    assert problems({"form": Page()}) == []
    assert problems({}) == []
