"""What a partner's program may be allowed to do: a scope per action, for partners of some part or of any."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from oauth2_provider.scopes import BaseScopes

#: Fields of `partners.models.Partner`.
PLATFORM, PAYER, TRAININGS = ("is_platform",), ("is_payer",), ("is_platform", "is_provider")
ANY = (*TRAININGS, *PAYER)


class Scope(StrEnum):
    """An action; `label` says it in words, and whoever takes one of `parts` in the programme may be allowed it."""

    label: str
    parts: tuple[str, ...]

    def __new__(cls, value: str, label: str, parts: tuple[str, ...] = ANY) -> "Scope":
        member = str.__new__(cls, value)
        member._value_ = value
        member.label, member.parts = label, parts
        return member

    TRAININGS_READ = "trainings:read", "Read your trainings", TRAININGS
    TRAININGS_WRITE = "trainings:write", "Offer and change trainings", PLATFORM
    PURCHASES_READ = "purchases:read", "Read purchases of your trainings", TRAININGS
    PURCHASES_WRITE = "purchases:write", "Sell trainings, cancel purchases", PLATFORM
    COMPLETIONS_WRITE = "completions:write", "Report attendance, completions and certificates", TRAININGS
    REVIEWS_READ = "reviews:read", "Read ratings and reviews of your trainings", TRAININGS
    ACCOUNTS_CHECK = "accounts:check", "Answer whether an account can be paid into", PAYER
    PAYOUTS_READ = "payouts:read", "Read payout orders", PAYER
    PAYOUTS_WRITE = "payouts:write", "Report the results of payouts", PAYER
    FUNNEL_READ = "funnel:read", "Read the programme's funnel"
    WEBHOOKS_READ = "webhooks:read", "Read what you were told, and how it went"
    WEBHOOKS_WRITE = "webhooks:write", "Set the address, change secrets, have events told again"


class ClientScopes(BaseScopes):  # type: ignore[misc]
    """A client gets what it asks for of what it is allowed; asking for nothing, all that it is allowed."""

    def get_all_scopes(self) -> dict[str, str]:
        return {scope.value: scope.label for scope in Scope}

    def get_available_scopes(self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any) -> Sequence[str]:
        return list(application.scopes) if application else []

    get_default_scopes = get_available_scopes
