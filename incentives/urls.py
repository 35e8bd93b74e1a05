from django.urls import URLPattern, path

from incentives import api

urlpatterns: list[URLPattern] = [
    path("api/v1/payout-batches/", api.PayoutBatches.as_view(), name="api_payout_batches"),
    path("api/v1/payout-batches/<int:batch>/payouts/", api.PayoutsOfABatch.as_view(), name="api_payouts_of_a_batch"),
    path("api/v1/payouts/<str:reference>/", api.OnePayout.as_view(), name="api_payout"),
    path("api/v1/payout-results/", api.PayoutResults.as_view(), name="api_payout_results"),
    path("api/v1/account-checks/", api.AccountChecks.as_view(), name="api_account_checks"),
]
