"""What partners send about trainings, and what they are answered."""

from datetime import UTC
from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from partners import closed, paging
from partners.closed import Choice, Closed, Instant, Rupiah, Text, Whole
from trainings import redeeming
from trainings.completing import HIGHEST_SCORE, NUMBER, Certificate
from trainings.models import Purchase, Review, Training
from trainings.purchasing import REFERENCE

State = Purchase.State

#: As partners write and read them.
MODES = {mode.name.lower(): mode for mode in Training.Mode}
STATES = {state.name.lower(): state for state in State}
#: Seats of a training, at most.
MOST_SEATS = 10_000_000


class Code(Text):
    """A training's code, as its platform has it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 40} | options)


class Pattern(Text):
    """Text of a form."""

    def __init__(self, pattern: str, **options: Any) -> None:
        super().__init__(**options)
        self.validators.append(RegexValidator(f"^{pattern}$"))


class TrainingFields(Closed):
    """What of a training may be set, and later changed."""

    title = Text(max_length=200)
    schedule_code = Text(max_length=40, allow_blank=True, default="")
    schedule = Text(max_length=200, allow_blank=True, default="", help_text="In words.")
    price = Rupiah(max_value=2**31 - 1)
    seats = Whole(min_value=0, max_value=MOST_SEATS, allow_null=True, default=None, help_text="null: as many as want to.")
    valid_from = Instant()
    valid_until = Instant(help_text="It is sold before this instant.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        opens, closes = (attrs.get(name, getattr(self.instance, name, None)) for name in ("valid_from", "valid_until"))
        if opens and closes and opens >= closes:
            raise ValidationError({"valid_until": ["It is not after valid_from."]})
        return attrs


class TrainingIn(TrainingFields):
    """A new training of the calling platform's."""

    code = Pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
    provider = Text(max_length=40, help_text="The provider's code.")
    mode = Choice(list(MODES))


class TrainingChange(TrainingFields):
    """What changes; the rest stays. That seats are limited, or not, stays."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, partial=True, **kwargs)


class TrainingOut(serializers.Serializer[Training]):
    id = serializers.IntegerField()
    platform = serializers.CharField(source="platform_id")
    provider = serializers.CharField(source="provider_id")
    code = serializers.CharField()
    title = serializers.CharField()
    mode = serializers.SerializerMethodField()
    schedule_code = serializers.CharField()
    schedule = serializers.CharField()
    price = serializers.IntegerField(help_text="Rupiah.")
    seats = serializers.IntegerField(allow_null=True)
    taken = serializers.IntegerField(help_text="Of limited seats.")
    valid_from = serializers.DateTimeField(default_timezone=UTC)
    valid_until = serializers.DateTimeField(default_timezone=UTC)

    @extend_schema_field({"type": "string", "enum": list(MODES)})
    def get_mode(self, training: Training) -> str:
        return Training.Mode(training.mode).name.lower()


class TrainingQuery(paging.PageQuery):
    """Filters."""

    code = Code(required=False)
    provider = Text(max_length=40, required=False)
    platform = Text(max_length=40, required=False)


class OrderRow(Closed):
    """One purchase."""

    card = Pattern("[0-9]{16}", help_text="The recipient's card: 16 digits.")
    training = Code(help_text="The training's code, one of yours.")
    reference = Pattern(
        REFERENCE.pattern,
        help_text="Your invoice: sent again, it buys nothing twice, and it is never used for another.",
    )
    price = Rupiah(required=False, help_text="What you have shown; refused when it is not the training's.")


class Bought(serializers.Serializer[Any]):
    purchase = serializers.IntegerField()
    redeem_code = serializers.CharField()
    before = serializers.BooleanField(help_text="By this very order, before.")


class CertificateOut(serializers.Serializer[Any]):
    number = serializers.CharField()
    sha256 = serializers.CharField()
    at = serializers.DateTimeField()


class PurchaseOut(serializers.Serializer[Purchase]):
    id = serializers.IntegerField()
    training = serializers.CharField(source="training.code")
    platform = serializers.CharField()
    reference = serializers.CharField()
    redeem_code = serializers.CharField()
    price = serializers.IntegerField(help_text="Rupiah.")
    state = serializers.SerializerMethodField()
    bought_at = serializers.DateTimeField(default_timezone=UTC)
    redeemed_at = serializers.DateTimeField(default_timezone=UTC, allow_null=True)
    attended_at = serializers.DateTimeField(default_timezone=UTC, allow_null=True)
    meetings = serializers.SerializerMethodField()
    completed_at = serializers.DateTimeField(default_timezone=UTC, allow_null=True)
    cancelled_at = serializers.DateTimeField(default_timezone=UTC, allow_null=True)
    score = serializers.IntegerField(allow_null=True)
    certificate = serializers.SerializerMethodField()

    @extend_schema_field({"type": "string", "enum": list(STATES)})
    def get_state(self, purchase: Purchase) -> str:
        return State(purchase.state).name.lower()

    def get_meetings(self, purchase: Purchase) -> list[int]:
        return redeeming.attended(purchase.meetings)

    @extend_schema_field(CertificateOut(allow_null=True))
    def get_certificate(self, purchase: Purchase) -> dict[str, Any] | None:
        if purchase.certified_at is None or purchase.certificate_sha256 is None:
            return None
        return {
            "number": purchase.certificate_number,
            "sha256": bytes(purchase.certificate_sha256).hex(),
            "at": purchase.certified_at.astimezone(UTC),
        }


class PurchaseQuery(paging.PageQuery):
    """Filters."""

    state = Choice(list(STATES), required=False)
    training = Code(required=False)
    reference = Text(max_length=64, required=False)
    redeem_code = Text(max_length=16, required=False)
    bought_from = Instant(required=False)
    bought_until = Instant(required=False, help_text="Before this instant.")


class CancellationRow(Closed):
    """A purchase that is taken back."""

    redeem_code = Text(max_length=100)


class AttendanceRow(Closed):
    """A code that is redeemed, or a meeting that was attended."""

    redeem_code = Text(max_length=100)
    sequence = Whole(required=False, help_text="1 to 10: that meeting; 999: all of it; without: the code is redeemed.")


class Hash(Text):
    """A SHA-256, in 64 hexadecimal digits."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        try:
            digest = bytes.fromhex(text) if len(text) == 64 else b""
        except ValueError:
            digest = b""
        if len(digest) != 32:
            raise ValidationError("64 hexadecimal digits are wanted.")
        return digest


class CertificateFields(Closed):
    number = Pattern(NUMBER.pattern, help_text="As the provider counts them.")
    sha256 = Hash(help_text="Of the certificate's file: 64 hexadecimal digits.")

    def to_internal_value(self, data: Any) -> Certificate:
        return Certificate(**super().to_internal_value(data))


class CompletionRow(Closed):
    """A training that was completed."""

    redeem_code = Text(max_length=100)
    completed_at = Instant()
    score = Whole(min_value=0, max_value=HIGHEST_SCORE, required=False, allow_null=True)
    certificate = CertificateFields(required=False, allow_null=True, help_text="It may come later.")


class CertificateRow(CertificateFields):
    """The certificate of a training that was completed before."""

    redeem_code = Text(max_length=100)

    def to_internal_value(self, data: Any) -> Any:
        found = Closed.to_internal_value(self, data)
        return {
            "redeem_code": found["redeem_code"],
            "certificate": Certificate(found["number"], found["sha256"]),
        }


class CertificateFile(Closed):
    """The certificate itself: its hash is kept, the file is not."""

    redeem_code = serializers.CharField(max_length=100)
    number = Pattern(NUMBER.pattern)
    file = serializers.FileField(help_text="PDF, at most 5 MB.")


class Done(serializers.Serializer[Any]):
    redeem_code = serializers.CharField()
    before = serializers.BooleanField(help_text="It was so before.")


class Certified(serializers.Serializer[Any]):
    redeem_code = serializers.CharField()
    number = serializers.CharField()
    sha256 = serializers.CharField()
    before = serializers.BooleanField(help_text="By this very file, before.")


class ReviewOut(serializers.Serializer[Review]):
    purchase = serializers.IntegerField(source="purchase_id")
    training = serializers.CharField(source="purchase.training.code")
    platform = serializers.CharField(source="purchase.platform")
    rating = serializers.IntegerField(min_value=1, max_value=5)
    text = serializers.CharField()
    at = serializers.DateTimeField(default_timezone=UTC)


class ReviewQuery(paging.PageQuery):
    """Filters."""

    training = Code(required=False)
    rating = serializers.IntegerField(min_value=1, max_value=5, required=False)


class RedeemCode(closed.Closed):
    """As the official clients send it; later versions add the sequence."""

    redeem_code = Text(max_length=100)
    sequence = Whole(required=False, allow_null=True, help_text="1 to 10: that meeting; 999: all of it.")


class RedeemData(serializers.Serializer[Any]):
    redeem_code = serializers.CharField()
    course_code = serializers.CharField()
    invoice_code = serializers.CharField()
    schedule_code = serializers.CharField()
    status = serializers.IntegerField(help_text="0: not used; 1: used; 2: cancelled.")
    attendance_status = serializers.IntegerField(help_text="1: attended.")
    redeem_at = serializers.CharField(help_text="Empty: not redeemed.")
    dp_platform = serializers.CharField()
    schedule_start_end = serializers.CharField()
    course_type = serializers.IntegerField()
    course_type_label = serializers.CharField()
    course_learning_method = serializers.CharField()
    is_online_attendance = serializers.BooleanField()
    sequence = serializers.IntegerField()


class RedeemAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    message = serializers.CharField()
    #: The metaclass takes it away again.
    data = RedeemData(allow_null=True)  # type: ignore[assignment]
