"""A small shop on partners' interfaces, as the apps above build theirs: an order is a row of the foundation's, with its partner."""

import time
from typing import Any

from django.urls import include, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from foundation.models import SetAside
from partners import bulk, closed, paging
from partners.api import PartnerView, SignedView
from partners.idempotency import idempotent
from partners.problems import Problem
from partners.scopes import Scope


class OrderIn(closed.Closed):
    subject = closed.Whole(min_value=1)
    price = closed.Rupiah(required=False)
    gift = closed.Flag(required=False)
    at = closed.Instant(required=False)
    mode = closed.Choice(["online", "offline"], required=False)
    note = closed.Text(required=False, max_length=20)
    #: Seconds that the act takes.
    slow = serializers.FloatField(required=False, max_value=60)
    state = serializers.CharField(read_only=True)


class OrderOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    subject = serializers.IntegerField()


class OrderQuery(paging.PageQuery):
    subject = serializers.IntegerField(required=False)


class Orders(PartnerView):
    scopes = {"GET": Scope.PURCHASES_READ, "POST": Scope.PURCHASES_WRITE}
    query = {"GET": OrderQuery}

    @extend_schema(responses=paging.answered(OrderOut))
    def get(self, request: Request) -> Response:
        found = SetAside.objects.filter(queue="orders", reason=self.partner.pk)
        if subject := self.asked.get("subject"):
            found = found.filter(subject=subject)
        return Response(paging.listed(request, paging.page(found, self.asked, by="-id"), OrderOut))

    @extend_schema(request=OrderIn, responses={201: OrderOut})
    @idempotent
    def post(self, request: Request) -> Response:
        asked = closed.checked(OrderIn, request.data)
        made = order(self.partner.pk, asked["subject"])
        time.sleep(asked.get("slow", 0))
        match asked["subject"]:
            case 13:
                raise Problem("unlucky", 422, "Thirteen is not sold.", price=13)
            case 14:
                raise Problem("later", 409, "Come back later.", transient=True)
            case 15:
                raise RuntimeError(asked["note"])
        return Response(OrderOut(made).data, 201, headers={"Location": f"/orders/{made.pk}/"})


class ManyOrders(PartnerView):
    scopes = {"POST": Scope.PURCHASES_WRITE}

    @extend_schema(request=bulk.asked(OrderIn), responses=bulk.answered(OrderOut))
    @idempotent
    def post(self, request: Request) -> Response:
        def act(rows):
            SetAside.objects.bulk_create(
                SetAside(queue="orders", subject=row["subject"], reason=self.partner.pk)
                for row in rows
                if row["subject"] != 13
            )
            return [
                Problem("unlucky", 422, "Thirteen is not sold.") if row["subject"] == 13 else {"subject": row["subject"]}
                for row in rows
            ]

        return bulk.each(request, OrderIn, act)


class Papers(PartnerView):
    scopes = {"POST": Scope.COMPLETIONS_WRITE}
    parser_classes = [MultiPartParser]

    @idempotent
    def post(self, request):
        made = order(self.partner.pk, len(request.data["file"].read()))
        return Response(OrderOut(made).data)


class SignedOrder(SignedView):
    def post(self, request):
        if request.data.get("redeem_code") == "used":
            raise Problem("used", 422, "The code was used.")
        return Response({"success": True, "message": "", "data": {"partner": self.partner.pk, **request.data}})


class Forgotten(PartnerView):
    """Says nothing of who may do what."""

    def get(self, request: Request) -> Response:
        return Response({"secret": 1})


def order(partner: str, subject: int) -> SetAside:
    return SetAside.objects.create(queue="orders", subject=subject, reason=partner)


urlpatterns = [
    path("api/v1/orders/", Orders.as_view()),
    path("api/v1/orders/many/", ManyOrders.as_view()),
    path("api/v1/papers/", Papers.as_view()),
    path("api/v1/integration/payment/redeem-code/commit", SignedOrder.as_view()),
    path("api/v1/forgotten/", Forgotten.as_view()),
    path("", include("prakerja.urls")),
]
