"""What all answers of the API have in common, also those that no endpoint has given."""

import json
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from partners import limits, problems

View = Callable[[HttpRequest], HttpResponse]

PREFIX = "/api/"
#: What a page for people said that holds for programs as well.
KEPT = ("Allow", "Retry-After", "WWW-Authenticate")


def for_the_api(get_response: View) -> View:
    """Pages that tell people of an error become problems; answers are not stored on their way; limits are told."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not request.path.startswith(PREFIX):
            return response
        if response.status_code >= 400 and response.headers.get("Content-Type", "").startswith("text/html"):
            response = _problem(response)
        if spent := limits.noted(request):
            spent.write(response)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return middleware


def _problem(page: HttpResponse) -> HttpResponse:
    found = problems.written(page.status_code)
    kept = {name: page.headers[name] for name in KEPT if name in page.headers}
    return HttpResponse(json.dumps(found), status=page.status_code, content_type=problems.MEDIA_TYPE, headers=kept)
