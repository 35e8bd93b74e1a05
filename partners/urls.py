from django.conf import settings
from django.urls import URLPattern, path

from partners import conformance, views

urlpatterns: list[URLPattern] = [
    path("api/v1/oauth/token", views.TokenView.as_view(), name="api_token"),
    path("api/v1/webhooks/", views.WebhookLog.as_view(), name="api_webhooks"),
    path("api/v1/webhooks/address/", views.WebhookAddress.as_view(), name="api_webhook_address"),
    path("api/v1/webhooks/secrets/rotate/", views.WebhookSecret.as_view(), name="api_webhook_secret"),
    path("api/v1/webhooks/<int:event>/", views.WebhookEvent.as_view(), name="api_webhook"),
    path("api/v1/webhooks/<int:event>/replay/", views.WebhookReplay.as_view(), name="api_webhook_replay"),
    path("api/v1/inbox/<slug:partner>/", views.Inbox.as_view(), name="api_inbox"),
    path("api/v1/schema/", views.SchemaView.as_view(), name="api_schema"),
    path("api/v1/docs/", views.docs, name="api_docs"),
]
if settings.SANDBOX:
    urlpatterns.append(path("api/v1/sandbox/conformance/", conformance.Conformance.as_view(), name="api_conformance"))
