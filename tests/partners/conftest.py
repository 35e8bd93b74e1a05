import pytest
from django.test import Client

from partners.models import Partner
from tests.partners.cast import Api, an_address, api, make_partner


@pytest.fixture(autouse=True)
def _unbounded(settings) -> None:
    """Tests call more often than partners do; those about limits set their own."""
    settings.PARTNER_RATE = settings.STRANGER_RATE = 1_000_000


@pytest.fixture
def client() -> Client:
    """Somebody at an address of their own: what has failed in other tests is not held against them."""
    return Client(REMOTE_ADDR=an_address())


@pytest.fixture
def partner(db: None) -> Partner:
    return make_partner()


@pytest.fixture
def other(db: None) -> Partner:
    return make_partner("bukalapak")


@pytest.fixture
def caller(partner: Partner) -> Api:
    """The partner's program, with all scopes."""
    return api(partner)
