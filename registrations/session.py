"""Whose browser this is: a registrant's, until the session ends. How somebody proves it is told elsewhere (`verification`)."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache

from registrations.models import PhoneOwner, Registrant
from registrations.ownership import owner_of

SESSION_KEY = "registrant"
#: The digest of the phone that has shown it, if one has.
PHONE_KEY = "phone"

P = ParamSpec("P")


def sign_in_as(request: HttpRequest, registrant_id: int, *, phone: str = "") -> None:
    """This browser is the registrant's from now on, until its session ends.

    `phone`: the digest of the number that has shown it; then no longer than that number is theirs.
    """
    auth.logout(request)
    request.session[SESSION_KEY] = registrant_id
    if phone:
        request.session[PHONE_KEY] = phone
    request.session.cycle_key()


def _registrant_of(request: HttpRequest) -> Registrant | None:
    registrant = Registrant.objects.filter(pk=request.session.get(SESSION_KEY, 0)).first()
    phone = request.session.get(PHONE_KEY)
    if registrant and phone and owner_of(PhoneOwner, phone) != registrant.pk:
        # Whoever has the phone of before may not be the registrant any more.
        del request.session[SESSION_KEY], request.session[PHONE_KEY]
        return None
    return registrant


def signed_in(
    view: Callable[Concatenate[HttpRequest, Registrant, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """The view is for a signed-in registrant, whom it is given."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **options: P.kwargs) -> HttpResponse:
        registrant = _registrant_of(request)
        return view(request, registrant, *args, **options) if registrant else redirect("sign_in")

    return guarded
