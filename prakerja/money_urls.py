from django.urls import path

from prakerja import batch_pages, money_pages, partner_pages, person_pages, reconciliation_pages, survey_pages

urlpatterns = [
    path("uang/", money_pages.money_page, name="office_money"),
    path("uang/rincian/", money_pages.details_page, name="office_money_details"),
    path("uang/hitung-ulang/", money_pages.recount_page, name="office_recount"),
    path("uang/survei/", survey_pages.surveys_page, name="office_surveys"),
    path("uang/orang/", person_pages.person_page, name="office_person"),
    path("uang/angka.csv", money_pages.figures_csv, name="office_money_csv"),
    path("uang/angka.json", money_pages.figures_json, name="office_money_json"),
    path("uang/batch/", batch_pages.batches_page, name="office_batches"),
    path("uang/batch.csv", batch_pages.batches_csv, name="office_batches_csv"),
    path("uang/batch/usul/", batch_pages.propose, name="office_propose"),
    path("uang/batch/<int:batch>/", batch_pages.batch_page, name="office_batch"),
    path("uang/batch/<int:batch>/putuskan/", batch_pages.decide, name="office_batch_decide"),
    path("uang/rekonsiliasi/", reconciliation_pages.reconciliation_page, name="office_reconciliation"),
    path("uang/rekonsiliasi/sisa.csv", reconciliation_pages.leftovers_csv, name="office_leftovers_csv"),
    path("uang/rekonsiliasi/terima/", reconciliation_pages.take, name="office_take_statement"),
    path("uang/rekonsiliasi/sisa/<int:leftover>/", reconciliation_pages.settle, name="office_settle"),
    path("uang/rekonsiliasi/<int:file>/", reconciliation_pages.statement_page, name="office_statement"),
    path("mitra/", partner_pages.partners_page, name="office_partners"),
    path("mitra/<slug:code>/", partner_pages.partner_page, name="office_partner"),
    path("mitra/<slug:code>/kunci/", partner_pages.make_client, name="office_make_client"),
    path("mitra/<slug:code>/kunci/cabut/", partner_pages.revoke_client, name="office_revoke_client"),
    path("mitra/<slug:code>/rahasia/", partner_pages.draw_secret, name="office_draw_secret"),
    path("mitra/<slug:code>/kabar/", partner_pages.replay, name="office_replay"),
]
