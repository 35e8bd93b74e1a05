"""What SMS providers call: signed, without a session."""

import time

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from foundation import webhooks
from verification import receipts


@csrf_exempt
@require_POST
@never_cache
def sms_receipts(request: HttpRequest) -> JsonResponse:
    """Delivery receipts (docs/services.md). 200 also for those known already and for unknown messages: nobody need try again."""
    secrets = [webhooks.secret_bytes(secret) for secret in settings.SMS_RECEIPT_SECRETS]
    if not secrets:
        return JsonResponse({"error": "not in use"}, status=404)
    try:
        body = request.body
    except RequestDataTooBig:
        return JsonResponse({"error": "too large"}, status=413)
    if not webhooks.is_signed(
        body,
        webhook_id=request.headers.get("webhook-id", ""),
        timestamp=request.headers.get("webhook-timestamp", ""),
        signatures=request.headers.get("webhook-signature", ""),
        secrets=secrets,
        now=time.time(),
    ):
        return JsonResponse({"error": "not signed"}, status=401)
    try:
        told = receipts.read(body)
    except receipts.Malformed as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(receipts.apply(told)._asdict())
