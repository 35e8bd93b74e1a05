"""What every endpoint for partners has in common: an endpoint says its scopes and its query, the rest comes from here."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from partners import closed, problems
from partners.auth import Bearer, HasScope, HasSigned, Signed, partner_of, refuse_other_methods
from partners.models import Partner
from partners.scopes import Scope


class InEnglish(APIView):
    """Programs read English only, whatever language a browser has chosen."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with translation.override("en"):
            response = super().dispatch(request, *args, **kwargs)
        response.headers["Content-Language"] = "en"
        return response


class PartnerView(InEnglish):
    """An endpoint for partners with a token.

    `scopes` names the scope of each method; what it does not name is refused. `query` is the form of the query parameters, or
    one for each method: what is in none is refused, and what is in it stands validated in `self.asked`.
    """

    authentication_classes = [Bearer]
    permission_classes = [HasScope]
    scopes: ClassVar[dict[str, Scope]] = {}
    query: ClassVar[closed.Form | dict[str, closed.Form]] = closed.NoQuery
    asked: dict[str, Any]

    @property
    def partner(self) -> Partner:
        """Whose call it is."""
        return partner_of(self.request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.perform_authentication(request)
        refuse_other_methods(request, self)
        super().initial(request, *args, **kwargs)
        self.asked = closed.query(request.query_params, closed.query_form(self, request.method))


class SignedRefusal(serializers.Serializer[Any]):
    """What is wrong, in the older form."""

    success = serializers.BooleanField(help_text="false")
    message = serializers.CharField()
    data = serializers.JSONField(allow_null=True)  # type: ignore[assignment]


class SignedView(PartnerView):
    """An endpoint for partners who sign their calls in the older form, and know problems in the older form only."""

    authentication_classes = [Signed]
    permission_classes = [HasSigned]
    problem_form: ClassVar[type[serializers.Serializer[Any]]] = SignedRefusal
    problem_type: ClassVar[str] = "application/json"

    def get_exception_handler(self) -> Callable[[Exception, Mapping[str, Any]], Response]:
        return _in_the_older_form


def _in_the_older_form(error: Exception, context: Mapping[str, Any]) -> Response:
    answer = problems.handler(error, context)
    said = answer.data
    sentences = [sentence for told in said.get("errors", {}).values() for sentence in told]
    message = " ".join(sentences) or said.get("detail") or said["title"]
    answer.data = {"success": False, "message": message, "data": None}
    answer.content_type = None
    return answer
