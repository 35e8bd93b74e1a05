"""Partners of the demo whose credentials everybody knows, as the staff's password: for trying the API. Never in production."""

from typing import NamedTuple

from django.db import transaction

from partners import keys
from partners.models import Client, Partner, Secret
from partners.scopes import Scope
from trainings import catalogue


class Credentials(NamedTuple):
    """What a partner's program signs in with, and what its calls of the older form are signed with."""

    partner: str
    name: str
    #: A field of `Partner`.
    part: str
    scopes: tuple[Scope, ...]

    @property
    def client_id(self) -> str:
        return f"demo-{self.partner}"

    @property
    def client_secret(self) -> str:
        return f"prakerja-demo-{self.partner}"

    @property
    def sign_key(self) -> str:
        return f"sign-demo-{self.partner}"


_TOLD = (Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE)
_TRAININGS = (Scope.TRAININGS_READ, Scope.PURCHASES_READ, Scope.COMPLETIONS_WRITE, Scope.REVIEWS_READ)

CREDENTIALS = (
    Credentials(
        "tokopedia", "Tokopedia", "is_platform", (*_TRAININGS, Scope.TRAININGS_WRITE, Scope.PURCHASES_WRITE, *_TOLD)
    ),
    Credentials("lembaga-01", "Lembaga Kejuruan Nusa", "is_provider", (*_TRAININGS, *_TOLD)),
    Credentials("bni", "BNI", "is_payer", (Scope.ACCOUNTS_CHECK, Scope.PAYOUTS_READ, Scope.PAYOUTS_WRITE, *_TOLD)),
)


@transaction.atomic
def load() -> None:
    """Load the catalogue that ships, and give the demo's partners their credentials; what is there stays as it is."""
    catalogue.load()
    for one in CREDENTIALS:
        partner, _ = Partner.objects.get_or_create(code=one.partner, defaults={"name": one.name, one.part: True})
        Client.objects.get_or_create(
            client_id=one.client_id,
            defaults={
                "partner": partner,
                "name": "demo",
                "scopes": sorted(one.scopes),
                "client_secret": one.client_secret,
            },
        )
        if one.sign_key.encode() not in keys.live(one.partner, Secret.Use.SIGN):
            keys.keep(one.partner, Secret.Use.SIGN, one.sign_key.encode())
