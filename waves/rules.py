"""Who may be selected: each rule a condition, with its reason code and the article that it comes from.

A condition is SQL over a `registrant`, `listed` (the kinds of current lists on which the registrant's NIK stands) and `household` (how
many of its people are recipients). It holds for who may *not* be selected.
"""

from collections.abc import Sequence
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from registrations.stages import DropOff
from waves.models import ListKind, RuleSet


class Rule(NamedTuple):
    """One reason for which somebody may not be selected."""

    reason: DropOff
    condition: str
    says: Promise
    source: str

    @property
    def lists(self) -> list[ListKind]:
        """The kinds of lists that it looks at."""
        return [kind for kind in ListKind if f"'{kind.value}'" in self.condition]


def _on_a_list(*kinds: ListKind) -> str:
    return f"listed.kinds && ARRAY[{', '.join(repr(kind.value) for kind in kinds)}]"


RULES: dict[str, Rule] = {
    "under_age": Rule(
        DropOff.UNDER_AGE,
        "(registrant.birth_year > {year} - 18 OR registrant.id = ANY ({minors}))",
        _("You must be 18 or older on the day on which the wave closes."),
        "Permenko 11/2020 art. 2",
    ),
    "studying": Rule(
        DropOff.STUDYING,
        f"(registrant.studying OR coalesce({_on_a_list(ListKind.STUDENTS)}, false))",
        _("Pupils and students in formal education cannot take part."),
        "Permenko 11/2020 art. 2",
    ),
    "excluded_profession": Rule(
        DropOff.EXCLUDED_PROFESSION,
        _on_a_list(ListKind.ASN, ListKind.TNI, ListKind.POLRI, ListKind.OFFICIALS),
        _("Civil servants, soldiers, police officers, and state and village officials cannot take part."),
        "Permenko 11/2020 art. 2 (5)",
    ),
    "recipient_before": Rule(
        DropOff.RECIPIENT_BEFORE,
        f"(registrant.selected_wave_id IS NOT NULL OR coalesce({_on_a_list(ListKind.RECIPIENTS)}, false))",
        _("You have been a recipient before. Everybody can be one once in their life."),
        "Permenko 11/2020 art. 9",
    ),
    "revoked_before": Rule(
        DropOff.REVOKED_BEFORE,
        _on_a_list(ListKind.REVOKED),
        _("Your card was revoked before, because no training was bought in time."),
        "Permenko 11/2020 art. 19",
    ),
    "social_aid": Rule(
        DropOff.SOCIAL_AID,
        _on_a_list(ListKind.SOCIAL_AID),
        _("You receive other social aid (PKH, BPNT, BSU or BPUM)."),
        "Perpres 76/2020; DTKS",
    ),
    "household_full": Rule(
        DropOff.HOUSEHOLD_FULL,
        "household.recipients >= {cap}",
        _("There are as many recipients on your family card as there may be."),
        "prakerja.go.id, March 2021",
    ),
    "not_a_citizen": Rule(
        DropOff.NOT_CITIZEN,
        "NOT registrant.citizen",
        _("You must be an Indonesian citizen with a KTP."),
        "Permenko 11/2020 art. 2",
    ),
}


def of(rule_set: RuleSet) -> Sequence[Rule]:
    """The rules of a set, in its order. Raises `KeyError` for one that nobody has written."""
    return [RULES[code] for code in rule_set.rules]
