from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, URLResolver, include, path

from prakerja import account_pages, dashboard, health, mock, recipient_pages, wave_pages
from prakerja.api import ProgrammeFunnel
from prakerja.sandbox.api import People
from verification.api import sms_receipts

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("bahasa/", include("django.conf.urls.i18n")),
    path("", include("registrations.urls")),
    path("", include("verification.urls")),
    path("", include("waves.urls")),
    path("", include("partners.urls")),
    path("", include("trainings.urls")),
    path("", include("trainings.page_urls")),
    path("", include("incentives.urls")),
    path("", include("incentives.page_urls")),
    path("rekening/ganti/", account_pages.change_account, name="change_account"),
    path("rekening/ganti/kode/", account_pages.change_account_code, name="change_account_code"),
    path("rekening/nomor/", account_pages.change_phone, name="change_own_phone"),
    path("rekening/nomor/kode/", account_pages.change_phone_code, name="change_own_phone_code"),
    path("pmo/", dashboard.funnel_page, name="office_funnel"),
    path("pmo/gelombang/", wave_pages.waves_page, name="office_waves"),
    path("pmo/gelombang/rencana/", wave_pages.plan, name="office_plan"),
    path("pmo/sk/<int:decree>/daftar/", recipient_pages.take_list, name="office_list"),
    path("pmo/gelombang/<int:number>/", wave_pages.wave_page, name="office_wave"),
    path("pmo/gelombang/<int:number>/ubah/", wave_pages.change, name="office_change"),
    path("pmo/gelombang/<int:number>/aturan/", wave_pages.change_rules, name="office_change_rules"),
    path("pmo/gelombang/<int:number>/minta/", wave_pages.ask, name="office_ask"),
    path("pmo/gelombang/<int:number>/putuskan/<int:act>/", wave_pages.decide, name="office_decide"),
    path("pmo/", include("prakerja.money_urls")),
    path("pmo/masuk/", LoginView.as_view(template_name="office/login.html"), name="office_login"),
    path("pmo/keluar/", LogoutView.as_view(), name="office_logout"),
    path("api/v1/funnel/", ProgrammeFunnel.as_view(), name="api_funnel"),
    path("api/v1/sms/receipts/", sms_receipts, name="api_sms_receipts"),
]

if settings.DEMO:
    urlpatterns += [
        path("mock/", mock.messages, name="mock"),
        path("mock/langkah/", mock.step, name="mock_step"),
    ]

if settings.SANDBOX:
    urlpatterns.append(path("api/v1/sandbox/people/", People.as_view(), name="api_sandbox_people"))
