"""What a decree on paper says, read as whoever holds it reads it."""

from datetime import timedelta

import pypdfium2
import pytest
import zxingcpp

from registrations.models import Registrant, Sex
from registrations.regions import Province
from tests.waves.cast import TOLD, draw_and_announce, make_applicants, make_wave
from waves import correction, decrees, pdf
from waves.draw import vars_of
from waves.models import Decree, Draw, Recipient, Ticket
from waves.randomness import QUICKNET

pytestmark = pytest.mark.django_db


def make_decree():
    """One that names two men and three women of West Java, and a man of Aceh."""
    wave = make_wave(quota=6)
    ids = make_applicants(wave, 6)
    Registrant.objects.filter(pk__in=ids[:3]).update(sex=Sex.MALE)
    Registrant.objects.filter(pk=ids[0]).update(province=Province(11))
    draw_and_announce(wave)
    return Decree.objects.get()


def opened(decree):
    return pypdfium2.PdfDocument(pdf.write(decree))


def text_of(document):
    """What stands on it, blanks as one."""
    return " ".join(" ".join(page.get_textpage().get_text_range() for page in document).split())


def test_it_tells_how_many_are_named_by_province_and_sex():
    text = text_of(opened(make_decree()))

    assert "6 orang di 2 provinsi" in text
    assert "Provinsi Laki-laki Perempuan" in text
    assert "Aceh 1 0 1 Jawa Barat 2 3 5 Semua provinsi 3 3 6" in text


def test_it_has_number_subject_day_and_signer():
    text = text_of(opened(make_decree()))

    assert "SURAT KEPUTUSAN NOMOR 1/2020 tentang penerima gelombang 1" in text
    assert "Jakarta, 16 April 2020 Denni" in text


def test_a_correction_names_the_decree_that_it_corrects():
    decree = make_decree()
    ticket = Ticket.objects.first()
    changes = correction.read(f"-; {ticket.number:015x}; an ASN since March")

    text = text_of(opened(correction.issue(decree.draw.wave, changes, by="Purwanto", at=TOLD + timedelta(days=1))))

    assert "SURAT KEPUTUSAN NOMOR 2/2020 tentang perbaikan SK 1/2020 tentang gelombang 1" in text
    assert "Jakarta, 17 April 2020 Purwanto" in text


def test_it_has_the_hash_of_its_list_as_text_and_as_a_qr_code_and_its_signature():
    decree = make_decree()
    sha256 = bytes(decree.sha256).hex()

    document = opened(decree)

    # Long words are broken where the line ends.
    text = text_of(document).replace(" ", "")
    assert f"/sk/?hash={sha256}" in text
    assert bytes(decree.signature).hex() in text
    [code] = zxingcpp.read_barcodes(document[0].render(scale=3).to_pil())
    assert code.text.endswith(f"/sk/?hash={sha256}")


def test_no_name_and_no_card_of_anybody_is_in_it():
    decree = make_decree()
    assert b"".join(decrees.lines(decree)).decode().count("Siti Rahmawati") == 6

    text = text_of(opened(decree))

    assert "Siti" not in text
    assert "Rahmawati" not in text
    digits = text.replace(" ", "")
    assert not [card for card in Recipient.objects.values_list("card", flat=True) if str(card) in digits]


def test_it_says_that_a_draw_by_the_mock_beacon_proves_nothing_and_nothing_of_the_kind_of_another():
    decree = make_decree()
    said = "Undian ini memakai beacon tiruan untuk demonstrasi: tidak membuktikan apa pun."

    by_the_mock = text_of(opened(decree))
    Draw.objects.update(chain=vars_of(QUICKNET))
    by_drand = text_of(opened(Decree.objects.get()))

    assert said in by_the_mock
    assert "beacon" not in by_drand


@pytest.mark.parametrize(("key_id", "is_said"), [("demo", True), ("2026a", False)])
def test_a_decree_that_a_demonstration_has_signed_says_that_it_has_no_effect(key_id, is_said):
    decree = make_decree()
    decree.key_id = key_id

    text = text_of(opened(decree))

    assert ("Demonstrasi: SK ini menyebut orang-orang rekaan dan tidak berlaku." in text) == is_said
