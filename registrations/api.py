"""The funnel over REST."""

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from registrations import asking, funnel

PARAMETERS = {"wave", "until_wave", "selected_wave", "as_of"}


class FunnelView(APIView):
    """How many people stand on each rung, and why the others do not.

    `wave=3`: those registered in wave 3; `until_wave=3`: in waves 1 to 3; `selected_wave=3`: those whom wave 3 selected;
    `as_of=2020-04-16T16:00`: all that had happened
    before that full hour (ISO 8601; without a zone, WIB; a day means its end). `people` are those who have reached the rung;
    of those who have not reached the next one, `drop_offs` are held by a reason and `waiting` are on their way. Shares are
    0 to 1, null where there is nobody to take a share of.
    """

    def get(self, request: Request) -> Response:
        unknown = sorted(set(request.query_params) - PARAMETERS)
        if unknown:
            raise ValidationError(dict.fromkeys(unknown, "Unknown parameter."))
        try:
            view = asking.view_of(request.query_params)
        except asking.BadView as error:
            raise ValidationError({error.field: error.message}) from error
        return Response(funnel.as_json(funnel.read(view)))
