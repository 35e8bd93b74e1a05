"""Trainings over REST, for the platforms that sell them and the providers that give them. Each sees its own only."""

import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.parsers import DataAndFiles, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from partners import bulk, clock, paging, problems, schema
from partners.api import PartnerView, SignedView
from partners.idempotency import idempotent
from partners.models import Partner
from partners.problems import Problem
from partners.scopes import Scope
from trainings import cancelling, completing, purchasing, redeeming, refusals, serializers
from trainings.models import Purchase, Review, Training

#: Of a certificate's file, in bytes.
LARGEST_FILE = 5_000_000


def trainings_of(partner: Partner) -> QuerySet[Training]:
    """What the partner sells or gives."""
    return Training.objects.filter(Q(platform=partner) | Q(provider=partner))


def purchases_of(partner: Partner) -> QuerySet[Purchase]:
    """What was bought of the partner's trainings; of those that it gives only, what was redeemed there: a code is worth money."""
    sold = list(Training.objects.filter(platform=partner).values_list("pk", flat=True))
    given = list(Training.objects.filter(provider=partner).exclude(pk__in=sold).values_list("pk", flat=True))
    redeemed = Q(training__in=given, redeemed_at__isnull=False)
    mine = Q(training__in=sold) | redeemed if given else Q(training__in=sold)
    return Purchase.objects.filter(mine).select_related("training")


class Trainings(PartnerView):
    """Trainings that you sell or give."""

    scopes = {"GET": Scope.TRAININGS_READ, "POST": Scope.TRAININGS_WRITE}
    query = {"GET": serializers.TrainingQuery}

    @extend_schema(responses=paging.answered(serializers.TrainingOut))
    def get(self, request: Request) -> Response:
        """List trainings that you sell or give."""
        asked = {name: value for name, value in self.asked.items() if name in ("code", "provider", "platform")}
        found = trainings_of(self.partner).filter(**asked)
        return Response(paging.listed(request, paging.page(found, self.asked, by="-id"), serializers.TrainingOut))

    @extend_schema(request=serializers.TrainingIn, responses={201: serializers.TrainingOut})
    @idempotent
    def post(self, request: Request) -> Response:
        """Offer a training, as a platform."""
        form = serializers.TrainingIn(data=request.data)
        form.is_valid(raise_exception=True)
        said = form.validated_data
        if not Partner.objects.filter(pk=said["provider"], is_provider=True, is_active=True).exists():
            raise Problem("unknown-provider", 422, "There is no such provider.")
        said |= {"provider_id": said.pop("provider"), "mode": serializers.MODES[said["mode"]]}
        try:
            with transaction.atomic():
                training = Training.objects.create(platform=self.partner, **said)
        except IntegrityError:
            raise Problem("training-code-taken", 409, "You have a training of this code.") from None
        return Response(serializers.TrainingOut(training).data, 201)


class OneTraining(PartnerView):
    """A training that you sell or give."""

    scopes = {"GET": Scope.TRAININGS_READ, "PATCH": Scope.TRAININGS_WRITE}

    @extend_schema(responses=serializers.TrainingOut)
    def get(self, request: Request, id: int) -> Response:
        """Read a training."""
        return Response(serializers.TrainingOut(_one(trainings_of(self.partner), id)).data)

    @extend_schema(request=serializers.TrainingChange, responses=serializers.TrainingOut)
    @idempotent
    def patch(self, request: Request, id: int) -> Response:
        """Change a training that you sell. What was bought stays as it was bought."""
        training = _one(Training.objects.select_for_update(no_key=True).filter(platform=self.partner), id)
        form = serializers.TrainingChange(training, data=request.data)
        form.is_valid(raise_exception=True)
        _check_seats(training, form.validated_data.get("seats", training.seats))
        for name, value in form.validated_data.items():
            setattr(training, name, value)
        training.save(update_fields=list(form.validated_data))
        return Response(serializers.TrainingOut(training).data)


def _check_seats(training: Training, seats: int | None) -> None:
    if (seats is None) != (training.seats is None):
        raise Problem("seats-limited-or-not", 422, "Whether seats are limited does not change: offer another training.")
    if seats is not None and seats < training.taken:
        raise Problem("seats-taken", 409, "More seats are taken.", taken=training.taken)


def _one(found: QuerySet[Any], id: int) -> Any:
    row = found.filter(pk=id).first() if id < 2**63 else None
    if row is None:
        raise NotFound
    return row


class Purchases(PartnerView):
    """What was bought of your trainings."""

    scopes = {"GET": Scope.PURCHASES_READ, "POST": Scope.PURCHASES_WRITE}
    query = {"GET": serializers.PurchaseQuery}

    @extend_schema(responses=paging.answered(serializers.PurchaseOut))
    def get(self, request: Request) -> Response:
        """List purchases of your trainings; as a provider, those whose code was redeemed with you."""
        asked = self.asked
        filters: dict[str, Any] = {
            "state": serializers.STATES.get(asked.get("state", "")),
            "training__code": asked.get("training"),
            "reference": asked.get("reference"),
            "redeem_code": asked.get("redeem_code"),
            "bought_at__gte": asked.get("bought_from"),
            "bought_at__lt": asked.get("bought_until"),
        }
        found = purchases_of(self.partner).filter(**{name: value for name, value in filters.items() if value is not None})
        return Response(paging.listed(request, paging.page(found, asked, by="-id"), serializers.PurchaseOut))

    @extend_schema(request=bulk.asked(serializers.OrderRow), responses=bulk.answered(serializers.Bought))
    @idempotent
    def post(self, request: Request) -> Response:
        """Sell trainings to recipients, by the numbers of their cards."""
        return bulk.each(request, serializers.OrderRow, self._buy)

    def _buy(self, rows: Sequence[dict[str, Any]]) -> list[bulk.Result]:
        at = clock.now(self.request)
        holders = purchasing.holders(int(row["card"]) for row in rows)
        orders = [
            # Nobody has the number 0: an unknown card is no recipient's.
            purchasing.Order(
                holders.get(int(row["card"]), 0), row["training"], row["reference"], at=at, price=row.get("price")
            )
            for row in rows
        ]
        good = (purchasing.Outcome.BOUGHT, purchasing.Outcome.ALREADY)
        return [
            {"purchase": result.purchase_id, "redeem_code": result.redeem_code, "before": result.outcome is good[1]}
            if result.outcome in good
            else refusals.problem(result.outcome)
            for result in purchasing.buy(orders, platform=self.partner.code)
        ]


class OnePurchase(PartnerView):
    """A purchase of one of your trainings."""

    scopes = {"GET": Scope.PURCHASES_READ}

    @extend_schema(responses=serializers.PurchaseOut)
    def get(self, request: Request, id: int) -> Response:
        """Read a purchase."""
        return Response(serializers.PurchaseOut(_one(purchases_of(self.partner), id)).data)


def _told(rows: Sequence[dict[str, Any]], outcomes: Sequence[Enum], *, done: Enum, before: Enum | None) -> list[bulk.Result]:
    """A result per row: done now, or before, or a problem."""
    return [
        {"redeem_code": row["redeem_code"], "before": outcome is before}
        if outcome in (done, before)
        else refusals.problem(outcome)
        for row, outcome in zip(rows, outcomes, strict=True)
    ]


class Cancellations(PartnerView):
    """Purchases that are taken back."""

    scopes = {"POST": Scope.PURCHASES_WRITE}

    @extend_schema(request=bulk.asked(serializers.CancellationRow), responses=bulk.answered(serializers.Done))
    @idempotent
    def post(self, request: Request) -> Response:
        """Cancel purchases that you have sold and that are not completed; the price goes back to the balance."""
        return bulk.each(request, serializers.CancellationRow, self._cancel)

    def _cancel(self, rows: Sequence[dict[str, Any]]) -> list[bulk.Result]:
        at, outcome = clock.now(self.request), cancelling.Outcome
        outcomes = cancelling.cancel(
            [cancelling.Cancellation(row["redeem_code"], at) for row in rows], platform=self.partner.code
        )
        return _told(rows, outcomes, done=outcome.CANCELLED, before=outcome.ALREADY)


class Attendances(PartnerView):
    """Redeem codes that are used, and meetings that are attended."""

    scopes = {"POST": Scope.COMPLETIONS_WRITE}

    @extend_schema(request=bulk.asked(serializers.AttendanceRow), responses=bulk.answered(serializers.Done))
    @idempotent
    def post(self, request: Request) -> Response:
        """Redeem codes, and note meetings attended: as the signed calls do, many at once."""
        return bulk.each(request, serializers.AttendanceRow, self._commit)

    def _commit(self, rows: Sequence[dict[str, Any]]) -> list[bulk.Result]:
        at, outcome = clock.now(self.request), redeeming.Outcome
        outcomes = redeeming.commit(
            [redeeming.Use(row["redeem_code"], at, row.get("sequence")) for row in rows], partner=self.partner.code
        )
        return _told(rows, outcomes, done=outcome.COMMITTED, before=outcome.ALREADY)


class Completions(PartnerView):
    """Trainings that were completed."""

    scopes = {"POST": Scope.COMPLETIONS_WRITE}

    @extend_schema(request=bulk.asked(serializers.CompletionRow), responses=bulk.answered(serializers.Done))
    @idempotent
    def post(self, request: Request) -> Response:
        """Report who has completed a training; the certificate comes with it, or later."""
        return bulk.each(request, serializers.CompletionRow, self._complete)

    def _complete(self, rows: Sequence[dict[str, Any]]) -> list[bulk.Result]:
        outcome = completing.Outcome
        outcomes = completing.complete(
            [completing.Completion(**row) for row in rows], partner=self.partner.code, now=clock.now(self.request)
        )
        return _told(rows, outcomes, done=outcome.COMPLETED, before=outcome.ALREADY)


class Certificates(PartnerView):
    """Certificates of trainings that were completed before."""

    scopes = {"POST": Scope.COMPLETIONS_WRITE}

    @extend_schema(request=bulk.asked(serializers.CertificateRow), responses=bulk.answered(serializers.Done))
    @idempotent
    def post(self, request: Request) -> Response:
        """Send the numbers and hashes of certificates. A certificate is never replaced."""
        return bulk.each(request, serializers.CertificateRow, self._certify)

    def _certify(self, rows: Sequence[dict[str, Any]]) -> list[bulk.Result]:
        outcome = completing.Outcome
        outcomes = completing.certify(
            [completing.Certification(**row) for row in rows], partner=self.partner.code, now=clock.now(self.request)
        )
        return _told(rows, outcomes, done=outcome.CERTIFIED, before=outcome.ALREADY)


class CertificateParser(MultiPartParser):
    """Refuses by its length what is far too large, before it is read."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        length = (parser_context or {})["request"].META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > LARGEST_FILE + 100_000:
            raise problems.too_large()
        return super().parse(stream, media_type, parser_context)


class CertificateFiles(PartnerView):
    """The file of a certificate."""

    scopes = {"POST": Scope.COMPLETIONS_WRITE}
    parser_classes = [CertificateParser]

    @extend_schema(
        request={"multipart/form-data": serializers.CertificateFile},
        responses={201: serializers.Certified, (404, problems.MEDIA_TYPE): schema.Problem},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Send a certificate as a file (PDF, at most 5 MB). Its hash is kept, the file is not."""
        form = serializers.CertificateFile(data=request.data)
        form.is_valid(raise_exception=True)
        code, number = form.validated_data["redeem_code"], form.validated_data["number"]
        certificate = completing.Certificate(number, _sha256(form.validated_data["file"]))
        [outcome] = completing.certify(
            [completing.Certification(code, certificate)], partner=self.partner.code, now=clock.now(self.request)
        )
        if outcome not in (completing.Outcome.CERTIFIED, completing.Outcome.ALREADY):
            raise refusals.problem(outcome)
        before = outcome is completing.Outcome.ALREADY
        return Response({"redeem_code": code, "number": number, "sha256": certificate.sha256.hex(), "before": before}, 201)


def _sha256(file: "UploadedFile[Any]") -> bytes:
    """Of a PDF that is not too large. What it is, its first bytes say, not its name."""
    if file.size is None or file.size > LARGEST_FILE:
        raise problems.too_large()
    if file.read(5) != b"%PDF-":
        raise Problem("not-a-pdf", 415, "A certificate is a PDF.")
    file.seek(0)
    hashed = hashlib.sha256()
    for chunk in file.chunks():
        hashed.update(chunk)
    return hashed.digest()


class Reviews(PartnerView):
    """What recipients say of your trainings."""

    scopes = {"GET": Scope.REVIEWS_READ}
    query = serializers.ReviewQuery

    @extend_schema(responses=paging.answered(serializers.ReviewOut))
    def get(self, request: Request) -> Response:
        """List ratings and reviews of trainings that you sell or give."""
        mine = trainings_of(self.partner)
        if "training" in self.asked:
            mine = mine.filter(code=self.asked["training"])
        found = Review.objects.filter(purchase__training__in=list(mine.values_list("pk", flat=True)))
        if "rating" in self.asked:
            found = found.filter(rating=self.asked["rating"])
        found = found.select_related("purchase__training")
        return Response(paging.listed(request, paging.page(found, self.asked), serializers.ReviewOut))


class RedeemStatus(SignedView):
    """The older form, as the official clients speak it."""

    @extend_schema(request=serializers.RedeemCode, responses={200: serializers.RedeemAnswer, 404: serializers.RedeemAnswer})
    def post(self, request: Request) -> Response:
        """Ask what a redeem code of yours is worth."""
        code, sequence = _asked(request)
        data = redeeming.status(code, partner=self.partner.code, sequence=sequence)
        if data is None:
            return _answer(redeeming.Outcome.UNKNOWN, None)
        return Response({"success": True, "message": "success", "data": data})


class RedeemCommit(SignedView):
    """The older form, as the official clients speak it."""

    @extend_schema(
        request=serializers.RedeemCode,
        responses=dict.fromkeys((200, 404, 409, 422), serializers.RedeemAnswer),
    )
    def post(self, request: Request) -> Response:
        """Use a redeem code of yours; with a sequence, note that meeting as attended."""
        code, sequence = _asked(request)
        [outcome] = redeeming.commit([redeeming.Use(code, clock.now(self.request), sequence)], partner=self.partner.code)
        data = redeeming.status(code, partner=self.partner.code, sequence=sequence)
        if outcome is redeeming.Outcome.COMMITTED:
            return Response({"success": True, "message": "success", "data": data})
        return _answer(outcome, data)


def _asked(request: Request) -> tuple[str, int | None]:
    form = serializers.RedeemCode(data=request.data)
    form.is_valid(raise_exception=True)
    return form.validated_data["redeem_code"], form.validated_data.get("sequence")


def _answer(outcome: redeeming.Outcome, data: dict[str, Any] | None) -> Response:
    """A refusal in the older form. Who lost the first answer sees by the data that the code was used, and when."""
    _, status, title = refusals.REFUSALS[outcome]
    return Response({"success": False, "message": title, "data": data}, status)
