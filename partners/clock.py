"""By which clock a partner's call is taken."""

from datetime import datetime

from django.http import HttpRequest
from rest_framework.request import Request

from foundation import pg

#: Of a request's environment, which no header can set: a simulation's own server tells the simulated time by it.
SIMULATED = "prakerja.now"


def now(request: Request | HttpRequest) -> datetime:
    """The database's clock, or the simulated one."""
    simulated: datetime | None = request.META.get(SIMULATED)
    return simulated or pg.now()
