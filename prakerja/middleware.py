"""What every page has in common."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation

from registrations.session import SESSION_KEY

View = Callable[[HttpRequest], HttpResponse]


def chosen_language(get_response: View) -> View:
    """Indonesian first; English for who chose it. A browser's own wish does not count: most phones ask for English."""

    def middleware(request: HttpRequest) -> HttpResponse:
        chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "")
        language = chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = get_response(request)
        response.headers.setdefault("Content-Language", language)
        return response

    return middleware


class DatabaseDown:
    """The database is away for a moment: say so, and when to try again, instead of an error page."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, OperationalError | InterfaceError):
            return None
        # Without the request: the session that its context asks for is in the database, too.
        content = render_to_string("503.html", {"demo": settings.DEMO})
        return HttpResponse(content, status=503, headers={"Retry-After": "5"})


database_down = DatabaseDown


def site(request: HttpRequest) -> dict[str, Any]:
    """Context of every template."""
    match = request.resolver_match
    return {
        "demo": settings.DEMO,
        "here": match.url_name if match else None,
        # A visitor without the cookie has no session to be looked up.
        "registrant": settings.SESSION_COOKIE_NAME in request.COOKIES and SESSION_KEY in request.session,
    }
