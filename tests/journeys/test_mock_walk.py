"""The whole way by hand, as a newcomer to the demo walks it: from the sign-up to the first incentive, with what others do at /mock/."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from incentives import ledger
from prakerja import credentials, walk
from registrations import funnel
from registrations.models import Registrant
from registrations.stages import Stage
from tests.journeys.browser import DESK, PATIENCE, PHONE
from tests.processes import wait_until
from tests.waves.cast import by_force
from trainings import accounts
from trainings.models import Purchase
from waves.models import Decree


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_newcomer_comes_from_the_sign_up_to_the_paid_incentive(applicant, width):
    credentials.load()
    walk.open_next_wave(timezone.now())
    me = applicant(width=width, javascript=False)
    device, page = me.device, me.device.page

    def see(what):
        """The demo's page, which nobody finds fault with; without JavaScript only its width can be looked at."""
        device.open("/mock/")
        assert device.overflow() <= 0, what
        return page.get_by_role("main").inner_text().replace("\u00a0", " ")

    def others(step):
        """Press what others do, as soon as it stands there."""
        button = page.locator(".walkers").get_by_role("button", name=step)
        wait_until(lambda: bool(see(step)) and button.count() == 1, seconds=PATIENCE, what=step)
        with page.expect_navigation():
            button.click()
        expect(page.get_by_role("status")).to_be_visible()

    # Up to the verified phone, with the mailbox and the phone of the demo.
    me.sign_up()
    me.open_link()
    device.look_again_until("Identitas terverifikasi")
    device.open("/status/kode/")
    device.type("Kode SMS", device.texted_code(me.person))
    device.press("Lanjutkan")
    assert device.rung == "Nomor HP terverifikasi"

    # The office draws; the mailbox tells.
    others("Jadikan penerima")
    assert "8020 " in see("selected")
    device.mailed_link(me.person, "Anda terpilih di gelombang")
    with by_force():
        Decree.objects.update(year=timezone.now().year + 1)  # the balance of a year ends on 15 December

    # Bought by hand; redeemed, completed and certified by others.
    device.open("/pelatihan/")
    device.type("Anda ingin belajar apa?", "pembukuan")
    device.press("Cari")
    device.follow("Pembukuan usaha mikro")
    device.follow("Beli dengan saldo saya")
    device.press("Beli seharga Rp200.000")
    others("Tokopedia menukarkan kode “Pembukuan usaha mikro”")
    others("Pusat Bahasa Lentera menyatakan “Pembukuan usaha mikro” selesai")
    others("Pusat Bahasa Lentera mengirim sertifikat “Pembukuan usaha mikro”")

    # Rated and linked by hand; paid by the office.
    bought = Purchase.objects.get()
    device.open(f"/pelatihan/saya/{bought.pk}/ulasan/")
    page.get_by_label("4: bagus").check()
    device.type("Apa yang Anda pelajari, dan apa yang perlu diperbaiki?", "Sekarang pembukuan saya rapi.")
    device.press("Kirim ulasan saya")
    device.open("/rekening/tautkan/")
    page.get_by_label("BNI (10 angka)").check()
    device.type("Nomor rekening", "1000000001")
    device.press("Sambungkan")
    others("Kantor membayar yang jatuh tempo: Rp600.000, ke BNI")
    wait_until(lambda: "Sudah diterima\nRp600.000" in see("paid").replace(" \n", "\n"), seconds=PATIENCE, what="paid")

    assert Registrant.objects.get().stage == Stage.INCENTIVE_RECEIVED
    assert funnel.recount().differences == []
    assert (ledger.recount(), accounts.recount()) == ([], [])


def test_the_demos_page_can_be_read_by_all_at_each_step(applicant):
    credentials.load()
    walk.open_next_wave(timezone.now())
    me = applicant()
    phone = me.device
    me.sign_up()
    me.open_link()
    phone.look_again_until("Identitas terverifikasi")
    phone.open("/status/kode/")
    phone.type("Kode SMS", phone.texted_code(me.person))
    phone.press("Lanjutkan")
    phone.open("/mock/")
    found = phone.faults("mock, verified")

    other = phone.context.new_page()
    other.goto("/mock/")
    other.get_by_role("button", name="Jadikan penerima").click()
    expect(other.get_by_role("status")).to_contain_text("kartu 8020")
    phone.press("Jadikan penerima")
    expect(phone.page.get_by_role("alert")).to_contain_text("Langkah ini tidak mungkin sekarang")
    found += phone.faults("mock, refused")
    phone.open("/mock/")
    found += phone.faults("mock, selected")

    assert found == []
