"""The decree: who was drawn is named, and climbs; the others are told why not."""

import hashlib
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from registrations import funnel, ladder
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from tests.waves.cast import AFTER, BEACON, make_applicants, make_drawn, make_published, make_wave, run
from tests.waves.test_screening import put_on_list
from waves import cards, decrees, joining, naming
from waves import draw as drawing
from waves.models import Decree, DecreeBlock, Draw, ListKind, Place, Recipient
from waves.screening import NotNow, screen
from waves.state import State
from waves.state import of as state_of

pytestmark = pytest.mark.django_db

AT = AFTER + timedelta(hours=3)


def test_all_who_were_drawn_are_named_have_a_card_and_stand_on_selected():
    draw = make_published(count=30, quota=8)

    decree = naming.issue(draw, by="Denni", at=AT)

    drawn = set(Place.objects.values_list("registrant_id", flat=True))
    assert set(Recipient.objects.values_list("registrant_id", flat=True)) == drawn
    selected = Registrant.objects.filter(stage=Stage.SELECTED)
    assert {row.pk for row in selected} == drawn
    assert {(row.selected_wave_id, row.selected_at) for row in selected} == {(1, AT)}
    assert (decree.year, decree.number, decree.names) == (2020, 1, 8)
    assert sum(sum(by_sex.values()) for by_sex in decree.totals.values()) == 8
    assert funnel.recount().differences == []
    assert funnel.read().rungs[4].people == 8


def test_the_list_is_canonical_sealed_hashed_and_signed():
    decree = naming.issue(make_published(count=12, quota=5), by="Denni", at=AT)

    text = b"".join(decrees.lines(decree))
    assert hashlib.sha256(text).digest() == bytes(decree.sha256)
    rows = [line.split(";") for line in text.decode().splitlines()[1:]]
    assert [int(row[1]) for row in rows] == sorted(Place.objects.values_list("rank", flat=True))
    assert all(row[4].startswith("Siti Rahmawati") for row in rows)
    assert b"Siti" not in bytes(DecreeBlock.objects.get().sealed)
    assert decrees.faults(decree) == []
    assert decrees.with_hash(bytes(decree.sha256)) == decree
    assert f"sha256 {bytes(decree.sha256).hex()}" in decree.statement


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE waves_decree SET signer = 'Somebody else'", "statement"),
        ("UPDATE waves_decree SET names = names + 1", "statement"),
        ("UPDATE waves_decree SET statement = replace(statement, 'names 5', 'names 6')", "signature"),
        ("UPDATE waves_decree SET signature = sha512('x')", "signature"),
        ("UPDATE waves_decree SET sha256 = sha256('x')", "list"),
        ("DELETE FROM waves_decreeblock", "list"),
    ],
)
def test_whatever_is_changed_afterwards_shows(change, fault):
    decree = naming.issue(make_published(count=12, quota=5), by="Denni", at=AT)
    with connection.cursor() as cursor:
        cursor.execute(change)
    decree.refresh_from_db()

    assert fault in " ".join(decrees.faults(decree))


def test_a_card_has_16_digits_of_which_the_last_checks_the_others():
    numbers = [cards.random_card() for _ in range(200)]

    assert all(1000_0000_0000_0000 <= card < 10**16 for card in numbers)
    assert len(set(numbers)) == 200
    for card in numbers:
        digits = str(card)
        # Luhn: the whole number, doubled every second digit from the right, is a multiple of ten.
        doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
        assert sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
    assert cards.check_digit("7992739871") == 3, "the standard's own example"


def test_decrees_of_a_year_are_numbered_without_a_gap_and_one_names_each_draw():
    first = make_published(count=8, quota=2)
    naming.issue(first, by="Denni", at=AT)
    with pytest.raises(NotNow, match="already"):
        naming.issue(first, by="Denni", at=AT)
    second = drawn_in_wave_2()

    assert naming.issue(second, by="Denni", at=AT + timedelta(days=7)).number == 2
    with pytest.raises(IntegrityError), transaction.atomic():
        Decree.objects.filter(number=2).update(number=1)


def drawn_in_wave_2():
    wave = make_wave(2, quota=3)
    make_applicants(wave, 6, first=500)
    later = wave.closes_at + timedelta(hours=1)
    screen(wave, at=later)
    draw = drawing.freeze(wave, at=later)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(later), at=later)
    drawing.run(draw, signature=BEACON.signature(draw.round), at=later + timedelta(hours=1))
    drawing.publish(draw, at=later + timedelta(hours=2))
    return draw


def test_a_draw_that_is_not_published_or_was_annulled_is_not_decreed():
    draw = make_drawn(count=4)
    with pytest.raises(NotNow, match="not published"):
        naming.issue(draw, by="Denni", at=AT)
    drawing.annul(draw, reason="wrong list", at=AT)

    with pytest.raises(NotNow, match="annulled"):
        naming.issue(draw, by="Denni", at=AT)
    assert not Decree.objects.exists()


def test_without_a_key_nothing_is_decreed(settings):
    draw = make_published(count=4)
    settings.PRODUCTION = True

    with pytest.raises(NotNow, match="DECREE_KEYS"):
        naming.issue(draw, by="Denni", at=AT)
    assert not Registrant.objects.filter(stage=Stage.SELECTED).exists()


def test_after_a_change_of_keys_the_new_one_signs_and_the_old_signatures_hold(settings):
    old = naming.issue(make_published(count=4, quota=2), by="Denni", at=AT)
    settings.DECREE_KEYS = "2026a:" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
    new = naming.issue(drawn_in_wave_2(), by="Denni", at=AT + timedelta(days=7))

    assert (old.key_id, new.key_id) == ("demo", "2026a")
    assert (decrees.faults(old), decrees.faults(new)) == ([], [])


def test_if_somebody_who_was_drawn_cannot_be_selected_nothing_has_happened():
    draw = make_published(count=10, quota=5)
    one = Place.objects.first()
    Registrant.objects.filter(pk=one.registrant_id).update(stage=Stage.IDENTITY_VERIFIED, phone_verified_at=None)

    with pytest.raises(NotNow, match="annul"):
        naming.issue(draw, by="Denni", at=AT)

    assert not Recipient.objects.exists()
    assert not Registrant.objects.filter(stage=Stage.SELECTED).exists()


def test_with_the_announcement_the_others_are_told_why_not_and_may_join_the_next_wave():
    wave = make_wave(quota=3)
    ids = make_applicants(wave, 10)
    put_on_list(ListKind.ASN, 1)
    put_on_list(ListKind.SOCIAL_AID, 1, 2)
    screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)
    run(draw)
    drawing.publish(draw, at=AFTER + timedelta(hours=2))
    with pytest.raises(NotNow, match="No decree"):
        naming.announce(draw, at=AT)
    naming.issue(draw, by="Denni", at=AT)
    assert state_of(wave, AT) is State.DECREED

    assert naming.announce(draw, at=AT) == 7
    with pytest.raises(NotNow, match="announced"):
        naming.announce(draw, at=AT)

    assert state_of(wave, AT) is State.ANNOUNCED
    reasons = dict(Registrant.objects.filter(pk__in=ids, stage=Stage.PHONE_VERIFIED).values_list("pk", "drop_off"))
    assert reasons.pop(ids[0]) == DropOff.EXCLUDED_PROFESSION, "the first of two"
    assert reasons.pop(ids[1]) == DropOff.SOCIAL_AID
    assert set(reasons.values()) == {DropOff.NOT_DRAWN}
    assert funnel.recount().differences == []
    second = make_wave(2)
    loser = next(iter(reasons))
    assert joining.join(2, [loser], at=[second.opens_at]) == [joining.Outcome.JOINED]
    assert ladder.standing([loser], Stage.PHONE_VERIFIED)
    assert Draw.objects.get().announced_at == AT
