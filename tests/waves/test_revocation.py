"""After the announcement: days to buy a training, warnings, revocation in batches, its decree, and the seats that are free then."""

from datetime import datetime, timedelta

import pytest
from django.db import connection

from foundation import pg
from registrations import funnel, ladder
from registrations.models import Registrant, Wave
from registrations.regions import WIB
from registrations.stages import DropOff, Stage
from tests.waves.cast import TOLD, Postbox, by_force, make_announced, make_published, make_staff, make_wave
from waves import decrees, joining, naming, revocation, seats, tasks
from waves.models import Called, Change, Decree, Notice, Recipient, RuleSet, SeatMove
from waves.screening import NotNow

pytestmark = pytest.mark.django_db

Kind = Notice.Kind
#: 16 April and 30 days: the last moment is 16 May, 23.59 in Jakarta.
END = datetime(2020, 5, 17, 0, 0, tzinfo=WIB)


def buy(count):
    """So many of the recipients buy a training; their ids."""
    ids = sorted(Recipient.objects.values_list("registrant_id", flat=True))[:count]
    assert len(ladder.climb(Stage.TRAINING_BOUGHT, dict.fromkeys(ids, TOLD + timedelta(days=2)))) == count
    return ids


def revoke_all(at=END):
    total = 0
    while count := revocation.revoke(at=at):
        total += count
    return total


def test_the_days_end_at_midnight_in_jakarta():
    draw = make_announced(count=4, quota=2)

    assert draw.decrees.get().buy_by == END


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        (timedelta(days=7, seconds=1), None),
        (timedelta(days=7), Kind.DAYS_7),
        (timedelta(days=3, seconds=1), Kind.DAYS_7),
        (timedelta(days=3), Kind.DAYS_3),
        (timedelta(days=1), Kind.DAYS_1),
        (timedelta(seconds=1), Kind.DAYS_1),
        (timedelta(0), None),
    ],
)
def test_a_warning_goes_out_7_3_and_1_days_before(before, kind):
    make_announced(count=6, quota=3)
    buy(1)

    assert revocation.warn(at=END - before) == (2 if kind else 0)
    assert revocation.warn(at=END - before) == 0, "once"

    assert [notice.kind for notice in Notice.objects.filter(kind__startswith="days")] == ([kind] if kind else [])


def test_the_tasks_warn_and_revoke_by_the_databases_clock():
    make_announced(count=6, quota=3)
    buy(1)
    Decree.objects.update(buy_by=pg.now() + timedelta(days=2))

    tasks.revoke()
    tasks.warn()

    assert Notice.objects.get(kind__startswith="days").kind == Kind.DAYS_3
    assert not Recipient.objects.exclude(ended_at=None).exists()
    Decree.objects.update(buy_by=pg.now())
    tasks.revoke()
    assert Recipient.objects.filter(ended_because=DropOff.REVOKED).count() == 2


def test_a_decree_that_was_not_announced_in_earnest_lapses_without_a_word():
    draw = make_published(count=6, quota=3)
    decree = naming.issue(draw, by="PMO", at=TOLD)
    naming.announce(draw, at=TOLD, in_earnest=False)
    [buyer] = buy(1)
    assert revoke_all(at=END + timedelta(days=2000)) == 0, "it has no end of its own"

    revoked = [revocation.lapse(decree, buy_by=END, size=1) for _ in range(3)]

    assert revoked == [1, 1, 0]
    assert set(Recipient.objects.filter(ended_at=END, ended_because=DropOff.REVOKED).values_list("pk", flat=True)) == set(
        Recipient.objects.exclude(pk=buyer).values_list("pk", flat=True)
    )
    assert not Notice.objects.exists()
    decree.refresh_from_db()
    assert (decree.buy_by, decree.lapsed_at) == (END, END)
    assert revoke_all(at=END + timedelta(days=2000)) == 0
    assert revocation.issue(draw.wave, by="PMO", at=END).names == 2


def test_who_buys_before_the_warning_is_sent_does_not_get_it():
    make_announced(count=6, quota=3)
    postbox = Postbox()
    postbox.empty()
    postbox.mails.clear()
    postbox.texts.clear()
    revocation.warn(at=END - timedelta(days=3))
    [bought] = buy(1)

    postbox.empty()

    warned = {int(mail.reference.rpartition(".")[2]) for mail in postbox.mails}
    assert warned == set(Recipient.objects.values_list("registrant_id", flat=True)) - {bought}
    assert "16 Mei 2020, pukul 23.59 WIB" in postbox.mails[0].text
    assert len(postbox.texts) == 2


def test_nobody_is_revoked_a_moment_too_early_or_after_buying():
    make_announced(count=10, quota=6)
    bought = buy(2)

    assert revocation.revoke(at=END - timedelta(microseconds=1)) == 0
    assert revoke_all() == 4
    assert revoke_all() == 0

    revoked = Registrant.objects.filter(drop_off=DropOff.REVOKED)
    assert revoked.count() == 4
    assert not revoked.filter(pk__in=bought).exists()
    assert {row.stage for row in revoked} == {Stage.SELECTED}
    assert Recipient.objects.filter(ended_because=DropOff.REVOKED, ended_at=END).count() == 4
    assert funnel.recount().differences == []
    assert Decree.objects.get().lapsed_at == END


def test_they_are_revoked_in_batches_each_a_transaction_of_its_own():
    make_announced(count=10, quota=7)

    assert [revocation.revoke(at=END, size=3) for _ in range(4)] == [3, 3, 1, 0]
    assert Notice.objects.get(kind=Kind.REVOKED).people == 7


def test_who_was_revoked_climbs_no_more_and_joins_no_more():
    make_announced(count=4, quota=2)
    revoke_all()
    revoked = list(Registrant.objects.filter(drop_off=DropOff.REVOKED).values_list("pk", flat=True))

    assert ladder.climb(Stage.TRAINING_BOUGHT, dict.fromkeys(revoked, END)) == set()
    assert ladder.clear_drop_off(revoked, Stage.SELECTED, END) == 0
    second = make_wave(2)
    assert set(joining.join(2, revoked, at=[second.opens_at] * 2)) == {joining.Outcome.NOT_READY}


def test_the_decree_of_revocation_names_them_and_frees_their_seats():
    draw = make_announced(count=10, quota=6)
    buy(1)
    wave = Wave.objects.get(pk=1)
    with pytest.raises(NotNow, match="Nobody has been revoked"):
        revocation.issue(wave, by="Denni", at=END)
    revoke_all()
    assert seats.of(draw).free == 0, "not before it is decreed"

    decree = revocation.issue(wave, by="Denni", at=END)

    assert (decree.number, decree.kind, decree.names) == (2, Decree.Kind.REVOCATION, 5)
    lines = b"".join(decrees.lines(decree)).decode().splitlines()[1:]
    named = dict(Recipient.objects.filter(ended_by=decree.pk).values_list("card", "rank"))
    assert {int(line.split(";")[2]): int(line.split(";")[1]) for line in lines} == named
    assert {line.split(";")[0] for line in lines} == {"-"}
    assert decrees.faults(decree) == []
    assert seats.of(draw).free == 5
    with pytest.raises(NotNow, match="Nobody has been revoked"):
        revocation.issue(wave, by="Denni", at=END)
    assert Decree.objects.count() == 2, "and no number was used up"


def test_each_decree_names_the_one_before_it():
    make_announced(count=10, quota=6)
    revoke_all()
    second = revocation.issue(Wave.objects.get(pk=1), by="Denni", at=END)
    with by_force(), connection.cursor() as cursor:
        cursor.execute("UPDATE waves_decree SET statement = replace(statement, 'names 6', 'names 5') WHERE number = 1")

    assert "what was decreed before it" in " ".join(decrees.faults(second))


def test_what_goes_back_to_the_treasury_is_exact():
    draw = make_announced(count=10, quota=6)
    revoke_all()

    found = seats.of(draw)

    assert (found.revoked, found.returned) == (6, 6 * 3_550_000)
    published = found._replace(revoked=189_436)
    assert published.returned == 672_497_800_000, "as the treasury got back in September 2020"
    assert RuleSet.objects.get(name="2020-04").package == 1_000_000 + 4 * 600_000 + 3 * 50_000


def test_free_seats_go_to_a_later_wave_once():
    draw = make_announced(count=10, quota=6)
    wave, later, boss = Wave.objects.get(pk=1), make_wave(2, quota=100), make_staff("boss")
    with pytest.raises(NotNow, match="0 free seats"):
        seats.move(wave, 2, 1, by=boss, reason="Revoked seats fund wave 2.", at=END)
    revoke_all()
    revocation.issue(wave, by="Denni", at=END)

    seats.move(wave, 2, 4, by=boss, reason="Revoked seats fund wave 2.", at=END)

    later.refresh_from_db()
    assert later.quota == 104
    change = Change.objects.get(wave=2)
    assert (change.field, change.before, change.after, change.by) == ("quota", "100", "104", boss)
    assert (SeatMove.objects.get().seats, seats.of(draw).free) == (4, 2)
    for to, count, fault in [(2, 3, "2 free seats"), (2, 0, "2 free seats"), (1, 1, "no wave 1 after"), (9, 1, "no wave 9")]:
        with pytest.raises(NotNow, match=fault):
            seats.move(wave, to, count, by=boss, reason="more", at=END)
    with pytest.raises(NotNow, match="reason"):
        seats.move(wave, 2, 1, by=boss, reason=" ", at=END)


def test_a_wave_that_is_not_announced_has_nothing_to_revoke_or_to_give():
    draw = make_published(count=4, quota=2)
    naming.issue(draw, by="Denni", at=TOLD)
    wave, boss = Wave.objects.get(pk=1), make_staff("boss")

    for act in (
        lambda: revocation.issue(wave, by="Denni", at=END),
        lambda: seats.move(wave, 2, 1, by=boss, reason="more", at=END),
    ):
        with pytest.raises(NotNow, match="not been announced"):
            act()
    assert revoke_all() == 0
    assert not Called.objects.exists()
