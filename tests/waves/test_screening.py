"""Who may be selected: the rules, one by one and all at once."""

from datetime import date, timedelta

import pytest
from django.db import connection

from registrations import ladder
from registrations.models import Registrant
from registrations.person import nik_digest
from registrations.stages import DropOff
from tests.people import make_person
from tests.waves.cast import AFTER, CLOSES, at_the_same_time, make_applicants, make_drawn, make_wave, share_household
from waves import draw as drawing
from waves import mine, rules
from waves.lists import import_list
from waves.models import Ineligible, ListEntry, ListKind, PersonList, RuleSet, Ticket
from waves.screening import NotNow, screen, try_out

pytestmark = pytest.mark.django_db


def put_on_list(kind, *numbers):
    """The people with these numbers are on a list."""
    people_list = PersonList.objects.create(
        kind=kind, provider="BKN", dated=date(2020, 4, 1), file="list.csv", sha256="0" * 64, people=len(numbers)
    )
    digests = [nik_digest(make_person(number).nik) for number in numbers]
    ListEntry.objects.bulk_create(ListEntry(digest=digest, list_id=people_list.pk) for digest in digests)
    return people_list


def findings():
    return {row.registrant_id: [DropOff(reason) for reason in row.reasons] for row in Ineligible.objects.all()}


def test_whom_no_rule_speaks_against_is_eligible():
    wave = make_wave()
    make_applicants(wave, 3)

    screening = screen(wave, at=AFTER)

    assert (screening.applications, screening.ineligible, screening.reasons) == (3, 0, {})
    assert findings() == {}


@pytest.mark.parametrize(
    ("born", "is_eligible"),
    [
        (date(2002, 4, 15), True),
        (date(2002, 4, 16), True),
        (date(2002, 4, 17), False),
        (date(2002, 12, 31), False),
        (date(2003, 1, 1), False),
        (date(2001, 12, 31), True),
    ],
)
def test_one_must_be_18_on_the_day_of_the_close(born, is_eligible):
    wave = make_wave()
    assert CLOSES.date() == date(2020, 4, 16)
    [id] = make_applicants(wave, 1, birth_date=born)

    screen(wave, at=AFTER)

    assert findings() == ({} if is_eligible else {id: [DropOff.UNDER_AGE]})


def test_the_day_of_the_close_is_jakartas():
    wave = make_wave()
    wave.closes_at = CLOSES.replace(hour=17, minute=30)  # half past midnight of the 17th there
    wave.save()
    make_applicants(wave, 1, birth_date=date(2002, 4, 17))

    screen(wave, at=AFTER + timedelta(days=1))

    assert findings() == {}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ListKind.ASN, DropOff.EXCLUDED_PROFESSION),
        (ListKind.TNI, DropOff.EXCLUDED_PROFESSION),
        (ListKind.POLRI, DropOff.EXCLUDED_PROFESSION),
        (ListKind.OFFICIALS, DropOff.EXCLUDED_PROFESSION),
        (ListKind.STUDENTS, DropOff.STUDYING),
        (ListKind.SOCIAL_AID, DropOff.SOCIAL_AID),
        (ListKind.RECIPIENTS, DropOff.RECIPIENT_BEFORE),
        (ListKind.REVOKED, DropOff.REVOKED_BEFORE),
    ],
)
def test_who_is_on_a_list_is_kept_out_by_it(kind, reason):
    wave = make_wave()
    ids = make_applicants(wave, 3)
    people_list = put_on_list(kind, 2, 999)

    screening = screen(wave, at=AFTER)

    assert findings() == {ids[1]: [reason]}
    assert screening.reasons == {str(reason.value): 1}
    assert list(screening.lists.all()) == [people_list], "which list decided is kept"


def test_recipients_of_the_programme_are_kept_out_of_its_other_waves_without_any_list():
    make_wave(1)
    wave = make_wave(2)
    ids = make_applicants(wave, 4)
    # Called from the reserve of an earlier wave, while they wait for this one; one of them buys nothing in time.
    ladder.select(1, ids[:2], AFTER)
    ladder.drop_off({ids[1]: DropOff.REVOKED}, {ids[1]: AFTER + timedelta(days=7)})
    at = AFTER + timedelta(days=8)

    screening = screen(wave, at=at)

    assert findings() == {id: [DropOff.RECIPIENT_BEFORE] for id in ids[:2]}
    assert not screening.lists.exists()
    recipients = put_on_list(ListKind.RECIPIENTS, 2, 3)
    assert list(screen(wave, at=at).lists.all()) == [recipients]
    assert findings() == {id: [DropOff.RECIPIENT_BEFORE] for id in ids[:3]}, "those of earlier years, and each one once"
    draw = drawing.freeze(wave, at=at)
    assert list(Ticket.objects.filter(draw_id=draw.pk).values_list("registrant_id", flat=True)) == ids[3:]


def test_all_reasons_are_found_and_not_only_the_first():
    wave = make_wave()
    [id] = make_applicants(wave, 1, birth_date=date(2004, 5, 5))
    Registrant.objects.update(studying=True, citizen=False)
    Registrant.objects.filter(pk=id).update(birth_year=2004)
    nik = nik_digest(make_person(1, birth_date=date(2004, 5, 5)).nik)
    for kind in (ListKind.ASN, ListKind.SOCIAL_AID):
        people_list = put_on_list(kind)
        ListEntry.objects.create(digest=nik, list_id=people_list.pk)

    screening = screen(wave, at=AFTER)

    wanted = [DropOff.UNDER_AGE, DropOff.STUDYING, DropOff.EXCLUDED_PROFESSION, DropOff.SOCIAL_AID, DropOff.NOT_CITIZEN]
    assert findings() == {id: wanted}
    assert (screening.ineligible, sum(screening.reasons.values())) == (1, 5)


def test_a_household_with_enough_recipients_is_full_where_that_is_a_rule():
    wave = make_wave(2, rule_set="2021-03")
    make_wave(1)
    recipients = make_applicants(make_wave(1), 2)
    ladder.select(1, recipients, AFTER)
    ids = make_applicants(wave, 2, first=10)
    share_household([*recipients, ids[0]])

    screen(wave, at=AFTER + timedelta(days=7))
    assert findings() == {ids[0]: [DropOff.HOUSEHOLD_FULL]}

    make_wave(2, rule_set="2020-04")
    screen(wave, at=AFTER + timedelta(days=7))
    assert findings() == {}


def test_a_screening_is_repeated_with_newer_lists_and_replaces_the_one_before():
    wave = make_wave()
    ids = make_applicants(wave, 2)
    old = put_on_list(ListKind.ASN, 1)
    first = screen(wave, at=AFTER)
    old.replaced_by = old
    old.save()
    new = put_on_list(ListKind.ASN, 2)
    old.replaced_by = new
    old.save()

    second = screen(wave, at=AFTER)

    assert findings() == {ids[1]: [DropOff.EXCLUDED_PROFESSION]}
    first.refresh_from_db()
    assert (first.is_current, second.is_current) == (False, True)
    assert list(first.lists.all()) == [old], "what decided then"


def test_of_each_person_the_lists_are_kept_that_spoke_against_them_also_when_they_are_replaced(tmp_path):
    wave = make_wave()
    ids = make_applicants(wave, 3, studying=False)
    Registrant.objects.filter(pk=ids[2]).update(citizen=False)
    asn, aid = put_on_list(ListKind.ASN, 1, 2), put_on_list(ListKind.SOCIAL_AID, 2)
    put_on_list(ListKind.PRIORITY, 1, 2, 3)

    screen(wave, at=AFTER)
    import_list(ListKind.ASN, file_of(tmp_path, 3), provider="BKN", dated=date(2020, 5, 1))

    kept = {row.registrant_id: sorted(row.lists) for row in Ineligible.objects.all()}
    assert kept == {ids[0]: [asn.pk], ids[1]: [asn.pk, aid.pk], ids[2]: []}
    asn.refresh_from_db()
    assert (asn.provider, asn.dated, asn.sha256, asn.people) == ("BKN", date(2020, 4, 1), "0" * 64, 2)
    assert asn.replaced_by
    assert mine.kept_out(ids[1]) == [
        mine.KeptOut(1, [DropOff.EXCLUDED_PROFESSION, DropOff.SOCIAL_AID], [asn, aid]),
    ]
    Ineligible.objects.update(lists=None)
    assert [one.lists for one in mine.kept_out(ids[1])] == [None], "screened before that was kept"


def file_of(folder, *numbers):
    """A file with these people's NIKs."""
    path = folder / "list.csv"
    path.write_text("nik\n" + "".join(f"{make_person(number).nik}\n" for number in numbers))
    return path


@pytest.mark.django_db(transaction=True)
def test_a_list_that_comes_during_a_screening_waits_for_its_end(tmp_path):
    wave = make_wave()
    ids = make_applicants(wave, 3)
    old, path = put_on_list(ListKind.ASN, 1), file_of(tmp_path, 2)

    with at_the_same_time(lambda: import_list(ListKind.ASN, path, provider="BKN", dated=date(2020, 5, 1))) as provider:
        screening = screen(wave, at=AFTER)

    assert provider.waited
    assert provider.error is None
    assert list(screening.lists.all()) == [old]
    assert findings() == {ids[0]: [DropOff.EXCLUDED_PROFESSION]}


@pytest.mark.django_db(transaction=True)
def test_a_screening_waits_for_a_list_that_is_being_taken_in_and_uses_it(tmp_path):
    wave = make_wave()
    ids = make_applicants(wave, 3)
    put_on_list(ListKind.ASN, 1)

    with at_the_same_time(lambda: screen(wave, at=AFTER)) as office:
        new = import_list(ListKind.ASN, file_of(tmp_path, 2), provider="BKN", dated=date(2020, 5, 1)).list

    assert office.error is None
    assert list(office.outcome.lists.all()) == [new]
    assert findings() == {ids[1]: [DropOff.EXCLUDED_PROFESSION]}


def test_what_other_rules_would_come_to_is_tried_out_without_a_trace():
    wave = make_wave()
    make_applicants(wave, 3)
    put_on_list(ListKind.SOCIAL_AID, 1, 2)
    lenient = RuleSet.objects.create(
        name="lenient", in_force_from=date(2020, 4, 1), rules=["under_age"], days_to_buy=30, package=0, sources="a draft"
    )

    strict_found, lenient_found = try_out(wave, RuleSet.objects.get(name="2020-04")), try_out(wave, lenient)

    assert (strict_found.ineligible, strict_found.reasons) == (2, {DropOff.SOCIAL_AID: 2})
    assert lenient_found.ineligible == 0
    assert not Ineligible.objects.exists()
    assert not wave.screenings.exists()


def test_a_wave_is_screened_between_its_close_and_its_freeze():
    wave = make_wave()
    with pytest.raises(NotNow, match="not closed"):
        screen(wave, at=CLOSES - timedelta(seconds=1))
    draw = make_drawn(count=3)

    with pytest.raises(NotNow, match="frozen"):
        screen(draw.wave, at=AFTER)


def test_a_wave_without_rules_is_not_screened():
    wave = make_wave()
    wave.plan.delete()

    with pytest.raises(NotNow, match="no rules"):
        screen(wave, at=AFTER)


def test_a_killed_screening_leaves_the_one_before():
    wave = make_wave()
    make_applicants(wave, 2)
    put_on_list(ListKind.ASN, 1)
    screen(wave, at=AFTER)
    before = findings()
    with connection.cursor() as cursor:
        # No room for the new findings: as good as a crash in the middle.
        cursor.execute("ALTER TABLE waves_ineligible ADD CONSTRAINT none CHECK (false) NOT VALID")

    with pytest.raises(Exception, match="none"):
        screen(wave, at=AFTER)

    assert findings() == before
    assert wave.screenings.get().is_current


def test_every_rule_that_a_set_names_is_written_and_says_its_source():
    make_wave()

    for rule_set in RuleSet.objects.all():
        found = rules.of(rule_set)
        assert [rule.reason for rule in found] == list(dict.fromkeys(rule.reason for rule in found))
        assert all(rule.source and str(rule.says) for rule in found)
