from django.urls import path

from verification import views

urlpatterns = [
    path("daftar/surel/", views.check_mail, name="check_mail"),
    path("daftar/surel/lagi/", views.resend_mail, name="resend_mail"),
    path("daftar/surel/ganti/", views.change_email, name="change_email"),
    path("surel/<str:token>/", views.open_link, name="open_link"),
    path("masuk/", views.sign_in, name="sign_in"),
    path("masuk/sms/", views.sign_in_by_phone, name="sign_in_phone"),
    path("masuk/sms/kode/", views.sign_in_code, name="sign_in_code"),
    path("masuk/<str:token>/", views.use_sign_in_link, name="use_sign_in_link"),
    path("keluar/", views.sign_out, name="sign_out"),
    path("status/", views.status_page, name="status"),
    path("status/kode/", views.code, name="code"),
    path("status/kode/baru/", views.resend_code, name="resend_code"),
    path("status/nomor/", views.change_phone, name="change_phone"),
    path("status/gabung/", views.join_wave, name="join_wave"),
    path("status/gelombang/<int:wave>/keluar/", views.leave_wave, name="leave_wave"),
    path("status/data/", views.correct_identity, name="correct_identity"),
]
