from django.urls import path, register_converter
from django.urls.converters import IntConverter

from registrations import views


class StepConverter(IntConverter):
    regex = "[1-4]"


register_converter(StepConverter, "step")

urlpatterns = [
    path("", views.home, name="home"),
    path("daftar/", views.sign_up, name="sign_up"),
    path("daftar/<step:step>/", views.sign_up, name="sign_up_step"),
]
