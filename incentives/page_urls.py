from django.urls import path

from incentives import views

urlpatterns = [
    path("rekening/", views.account_page, name="account"),
    path("rekening/tautkan/", views.link_account, name="link_account"),
    path("rekening/periksa/", views.check_again, name="check_account"),
    path("rekening/perubahan/batal/", views.stop_change, name="stop_change"),
    path("insentif/", views.incentives_page, name="incentives"),
    path("insentif/survei/<int:survey>/", views.survey_page, name="survey"),
]
