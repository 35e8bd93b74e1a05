"""What the sign-up is measured against: a view that inserts the body it is sent as one row, and redirects."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path

from foundation.models import MockMessage


def insert(request: HttpRequest) -> HttpResponse:
    MockMessage.objects.create(channel="email", sealed=request.body)
    return HttpResponseRedirect("/done/", headers={"Content-Length": "0"})


urlpatterns = [path("daftar/4/", insert)]
