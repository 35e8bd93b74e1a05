from django.urls import path

from waves import views

urlpatterns = [
    path("sk/", views.decrees_page, name="decrees"),
    path("sk/decrees.json", views.decrees_json, name="decrees_json"),
    path("sk/decree.md", views.decree_specification, name="decree_specification"),
    path("sk/<int:year>/<int:number>.pdf", views.decree_pdf, name="decree_pdf"),
    path("sk/<int:year>/<int:number>.txt", views.decree_statement, name="decree_statement"),
    path("undian/", views.draws, name="draws"),
    path("undian/verify_draw.py", views.checker, name="checker"),
    path("undian/draw.md", views.specification, name="draw_specification"),
    path("undian/<int:wave>/", views.draw_page, name="draw"),
    path("undian/<int:wave>/<int:attempt>/", views.draw_page, name="draw_attempt"),
    path("undian/<int:wave>/<int:attempt>/draw.json", views.draw_json, name="draw_json"),
    path("undian/<int:wave>/<int:attempt>/berkas/<str:name>", views.draw_file, name="draw_file"),
    path("undian/<int:wave>/<int:attempt>/cadangan.csv", views.reserves_csv, name="reserves_csv"),
]
