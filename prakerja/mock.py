"""Mailbox and phone of the mock services, and what others do, so that a newcomer can walk the whole way by hand. Demo only."""

from datetime import date
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from foundation import mockworld, pg
from prakerja import walk
from prakerja.credentials import CREDENTIALS
from prakerja.notes import leave_note, take_note
from registrations.models import Sex
from verification import synthetic
from waves import state
from waves.screening import NotNow


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
    mails, now = mockworld.messages("email"), pg.now()
    context = {
        "mails": mails,
        "texts": mockworld.messages("sms"),
        "people": people,
        "walkers": walk.walkers({mail.to for mail in mails}, at=now),
        "wave": state.open_wave(now),
        "credentials": CREDENTIALS,
        "address": settings.BASE_URL,
        "clerks": walk.CLERKS,
        "password": walk.PASSWORD,
        "notice": take_note(request),
    }
    return render(request, "registrants/mock.html", context)


@require_POST
@never_cache
def step(request: HttpRequest) -> HttpResponse:
    """Have others do the step that was pressed."""
    id = request.POST.get("id", "")
    try:
        leave_note(request, walk.take(request.POST.get("step", ""), int(id) if id.isdecimal() and len(id) < 19 else 0))
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
    return redirect(f"{reverse('mock')}#walk")
