"""Whose browser this is: a registrant's, until the session ends. How somebody proves it is told elsewhere (`verification`)."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache

from registrations.models import Registrant

SESSION_KEY = "registrant"

P = ParamSpec("P")


def sign_in_as(request: HttpRequest, registrant_id: int) -> None:
    """This browser is the registrant's from now on, until its session ends."""
    auth.logout(request)
    request.session[SESSION_KEY] = registrant_id
    request.session.cycle_key()


def signed_in(
    view: Callable[Concatenate[HttpRequest, Registrant, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """The view is for a signed-in registrant, whom it is given."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **options: P.kwargs) -> HttpResponse:
        registrant = Registrant.objects.filter(pk=request.session.get(SESSION_KEY, 0)).first()
        return view(request, registrant, *args, **options) if registrant else redirect("sign_in")

    return guarded
