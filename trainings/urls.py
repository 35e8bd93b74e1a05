from django.urls import path

from trainings import api

urlpatterns = [
    path("api/v1/integration/payment/redeem-code/status", api.RedeemStatus.as_view(), name="api_redeem_status"),
    path("api/v1/integration/payment/redeem-code/commit", api.RedeemCommit.as_view(), name="api_redeem_commit"),
    path("api/v1/trainings/", api.Trainings.as_view(), name="api_trainings"),
    path("api/v1/trainings/<int:id>/", api.OneTraining.as_view(), name="api_training"),
    path("api/v1/purchases/", api.Purchases.as_view(), name="api_purchases"),
    path("api/v1/purchases/<int:id>/", api.OnePurchase.as_view(), name="api_purchase"),
    path("api/v1/cancellations/", api.Cancellations.as_view(), name="api_cancellations"),
    path("api/v1/attendances/", api.Attendances.as_view(), name="api_attendances"),
    path("api/v1/completions/", api.Completions.as_view(), name="api_completions"),
    path("api/v1/certificates/", api.Certificates.as_view(), name="api_certificates"),
    path("api/v1/certificates/file/", api.CertificateFiles.as_view(), name="api_certificate_files"),
    path("api/v1/reviews/", api.Reviews.as_view(), name="api_reviews"),
]
