from django.urls import path

from trainings import views

urlpatterns = [
    path("pelatihan/", views.catalogue, name="trainings"),
    path("pelatihan/<int:id>/", views.training_page, name="training"),
    path("pelatihan/<int:id>/beli/", views.buy, name="buy_training"),
    path("pelatihan/saya/", views.my_trainings, name="my_trainings"),
    path("pelatihan/saya/<int:id>/", views.purchase_page, name="purchase"),
    path("pelatihan/saya/<int:id>/batal/", views.cancel, name="cancel_purchase"),
    path("pelatihan/saya/<int:id>/ulasan/", views.review, name="review_training"),
]
