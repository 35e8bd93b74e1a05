"""The mailbox and the phone of the mock services, so that a newcomer can walk the whole way by hand. Demo only."""

from datetime import date
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from foundation import mockworld
from registrations.models import Sex
from verification import synthetic


class MadeUp(NamedTuple):
    """Somebody whom the mock registry knows."""

    name: str
    nik: str
    kk: str
    birth_date: date
    sex: str
    phone: str


def _made_up(name: str, regency: int, sub_district: int, birth_date: date, sex: Sex, phone: str) -> MadeUp:
    nik = synthetic.make_nik(regency, sub_district, birth_date, sex)
    return MadeUp(name, nik, synthetic.kk_of(nik), birth_date, str(sex.label), phone)


@require_safe
@never_cache
def messages(request: HttpRequest) -> HttpResponse:
    people = [
        _made_up("Siti Rahmawati", 3273, 1, date(1995, 8, 17), Sex.FEMALE, "0812 3456 7801"),
        _made_up("Budi Santoso", 3578, 2, date(1988, 3, 2), Sex.MALE, "0812 3456 7802"),
        _made_up("Made Wirawan", 5171, 3, date(1999, 12, 31), Sex.MALE, "0813 3456 7803"),
        _made_up("Maria Wanggai", 9171, 1, date(2001, 2, 28), Sex.FEMALE, "0821 3456 7804"),
        _made_up("Andi Pratama", 7371, 5, date(1979, 6, 9), Sex.MALE, "0852 3456 7805"),
    ]
    context = {"mails": mockworld.messages("email"), "texts": mockworld.messages("sms"), "people": people}
    return render(request, "registrants/mock.html", context)
