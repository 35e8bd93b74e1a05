"""Free seats go to the next in reserve, by the order of the published draw."""

from datetime import timedelta

import pytest

from registrations import funnel
from registrations.models import Registrant, Wave
from registrations.stages import DropOff, Stage
from tests.waves.cast import (
    BEACON,
    TOLD,
    Postbox,
    at_the_same_time,
    draw_and_announce,
    make_announced,
    make_applicants,
    make_wave,
    share_household,
)
from tests.waves.test_revocation import END, buy, revoke_all
from waves import correction, decrees, joining, reserves, revocation, seats
from waves import draw as drawing
from waves.draw import rank_of, ticket_of
from waves.models import Called, Decree, OrderBlock, Place, Recipient, Ticket
from waves.screening import NotNow, screen

pytestmark = pytest.mark.django_db

LATER = END + timedelta(days=1)
Outcome = Called.Outcome


def make_free(count=20, *, quota=6, bought=2, **options):
    """A wave of which all but `bought` have been revoked, by decree."""
    draw = make_announced(count=count, quota=quota, **options)
    buy(bought)
    revoke_all()
    revocation.issue(Wave.objects.get(pk=1), by="Denni", at=END)
    return draw


def call(count):
    return reserves.call(Wave.objects.get(pk=1), count, by="Denni", at=LATER)


def by_rank(draw):
    """All registrants of the draw, in its order."""
    positions = [position for block in OrderBlock.objects.filter(draw_id=draw.pk) for position in block.positions]
    tickets = dict(Ticket.objects.filter(draw_id=draw.pk).values_list("position", "registrant_id"))
    return [tickets[position] for position in positions]


def test_the_next_by_rank_are_named_and_told_and_have_their_own_days():
    draw = make_free(count=20, quota=6, bought=2)
    order = by_rank(draw)

    decree = call(3)

    assert (decree.number, decree.kind, decree.names) == (3, Decree.Kind.RESERVES, 3)
    called = Recipient.objects.filter(decree_id=decree.pk).order_by("rank")
    assert [row.registrant_id for row in called] == order[6:9]
    assert [row.rank for row in called] == [7, 8, 9]
    assert set(Registrant.objects.filter(pk__in=order[6:9]).values_list("stage", "selected_wave")) == {(Stage.SELECTED, 1)}
    assert decrees.faults(decree) == []
    assert (decree.buy_by - END) == timedelta(days=32), "called on 18 May: 30 days after it"
    assert seats.of(draw).free == 1
    assert funnel.recount().differences == []
    postbox = Postbox()
    postbox.empty()
    told = [mail for mail in postbox.mails if "terpilih" in mail.subject and "17 Juni 2020" in mail.text]
    assert {int(mail.reference.rpartition(".")[2]) for mail in told} == set(order[6:9])


def test_the_second_call_goes_on_where_the_first_one_stopped():
    draw = make_free(count=20, quota=6, bought=2)
    order = by_rank(draw)
    call(2)
    call(2)

    called = Called.objects.filter(draw_id=draw.pk).order_by("rank")
    assert [row.registrant_id for row in called] == order[6:10]
    with pytest.raises(NotNow, match="0 free seats"):
        call(1)


def test_passed_over_is_who_was_selected_elsewhere_or_is_not_eligible_any_more():
    draw = make_free(count=20, quota=6, bought=2)
    order = by_rank(draw)
    Registrant.objects.filter(pk=order[6]).update(drop_off=DropOff.SOCIAL_AID)
    Registrant.objects.filter(pk=order[7]).update(drop_off=DropOff.NONE)

    call(2)

    outcomes = {row.registrant_id: row.outcome for row in Called.objects.all()}
    assert outcomes == {order[6]: Outcome.GONE, order[7]: Outcome.NAMED, order[8]: Outcome.NAMED}


def test_no_household_gets_more_recipients_than_it_may_have():
    draw = make_free(count=30, quota=6, bought=2, rule_set="2021-03")
    order = by_rank(draw)
    share_household([order[0], order[6], order[7]])

    call(2)

    outcomes = {row.registrant_id: row.outcome for row in Called.objects.all()}
    assert outcomes == {order[6]: Outcome.NAMED, order[7]: Outcome.HOUSEHOLD, order[8]: Outcome.NAMED}


def test_a_free_seat_of_a_room_goes_to_the_next_of_that_room():
    rooms = [{"name": "Papua", "seats": 2, "province": 91}]
    wave = make_wave(quota=4, rooms=rooms)
    make_applicants(wave, 10)
    papuans = make_applicants(wave, 6, first=600, province=91)
    # However many of them get the other seats, two wait.
    draw = draw_and_announce(wave)
    in_room = set(Place.objects.filter(room=1).values_list("registrant_id", flat=True))
    assert len(in_room & set(papuans)) == 2
    everybody = set(Recipient.objects.values_list("registrant_id", flat=True))
    keep = sorted(everybody - in_room)
    Registrant.objects.filter(pk__in=keep).update(stage=Stage.TRAINING_BOUGHT, training_bought_at=TOLD)
    revoke_all()
    revocation.issue(wave, by="Denni", at=END)
    order = by_rank(draw)
    waiting = [id for id in order if id in papuans and id not in everybody]

    call(2)

    named = Called.objects.filter(outcome=Outcome.NAMED).order_by("rank")
    assert [row.registrant_id for row in named] == waiting[:2]
    assert {row.room for row in named} == {1}


def test_when_nobody_is_in_reserve_the_seats_stay_free():
    draw = make_free(count=6, quota=6, bought=2)

    with pytest.raises(NotNow, match="Nobody is in reserve"):
        call(1)

    assert (seats.of(draw).free, Decree.objects.count()) == (4, 2)


def test_fewer_in_reserve_than_free_seats():
    make_free(count=8, quota=6, bought=0)

    assert call(5).names == 2


def test_while_another_wave_is_drawn_nobody_is_called():
    make_free(count=20, quota=6, bought=2)
    second = make_wave(2)
    joined = list(Registrant.objects.filter(stage=Stage.PHONE_VERIFIED).values_list("pk", flat=True))
    joining.join(2, joined, at=[second.opens_at] * len(joined))
    after = second.closes_at + timedelta(hours=1)
    screen(second, at=after)
    drawing.freeze(second, at=after)

    with pytest.raises(NotNow, match="Wave 2 is being drawn"):
        call(2)


def test_a_free_seat_is_never_given_twice():
    make_free(count=20, quota=6, bought=2)

    for count in (0, 5):
        with pytest.raises(NotNow, match="4 free seats"):
            call(count)


# Corrections ----------------------------------------------------------------------------------------------------------


def ticket(draw, id):
    return f"{ticket_of(draw, id).number:015x}"


def test_a_correction_adds_and_removes_and_names_the_old_decree():
    draw = make_announced(count=20, quota=6)
    order = by_rank(draw)
    text = f"-; {ticket(draw, order[0])}; an ASN since March\n+; {ticket(draw, order[10])}; was taken for somebody else"

    decree = correction.issue(Wave.objects.get(pk=1), correction.read(text), by="Denni", at=LATER)

    assert (decree.number, decree.kind, decree.names) == (2, Decree.Kind.CORRECTION, 2)
    assert "corrects 1/2020" in decree.statement
    lines = [line.split(";") for line in b"".join(decrees.lines(decree)).decode().splitlines()[1:]]
    assert [(line[0], line[1], line[-1]) for line in lines] == [
        ("-", "1", "an ASN since March"),
        ("+", str(rank_of(draw, ticket_of(draw, order[10]))), "was taken for somebody else"),
    ]
    removed, added = Registrant.objects.get(pk=order[0]), Registrant.objects.get(pk=order[10])
    assert (removed.stage, removed.drop_off) == (Stage.SELECTED, DropOff.REMOVED)
    assert (added.stage, added.selected_wave_id, added.drop_off) == (Stage.SELECTED, 1, DropOff.NONE)
    assert (seats.of(draw).free, seats.of(draw).removed) == (0, 1)
    old = Decree.objects.get(number=1)
    assert (decrees.faults(old), decrees.faults(decree)) == ([], []), "the old one stays as it was"
    assert funnel.recount().differences == []
    postbox = Postbox()
    postbox.empty()
    subjects = {int(mail.reference.rpartition(".")[2]): mail.subject for mail in postbox.mails}
    assert subjects[order[0]] == "Kepesertaan Kartu Prakerja Anda berakhir"


def test_who_has_no_ticket_is_added_by_the_reference_of_the_registration():
    draw = make_announced(count=10, quota=3)
    order = by_rank(draw)
    late = make_wave(2)
    [id] = make_applicants(late, 1, first=700)
    reference = Registrant.objects.get(pk=id).reference
    text = f"-; {ticket(draw, order[0])}; false data\n+; {reference}; was kept out by a wrong list"

    correction.issue(Wave.objects.get(pk=1), correction.read(text), by="Denni", at=LATER)

    assert Recipient.objects.get(registrant_id=id).rank == 0
    assert Registrant.objects.get(pk=id).selected_wave_id == 1


def screened_with(id):
    """A later wave that this registrant alone has joined, and an instant at which it can be frozen."""
    wave = make_wave(2, quota=1)
    joining.join(2, [id], at=[wave.opens_at])
    after = wave.closes_at + timedelta(hours=1)
    screen(wave, at=after)
    return wave, after


@pytest.mark.parametrize("is_drawn", [False, True])
def test_nobody_is_added_who_holds_a_ticket_of_a_wave_that_is_being_drawn(is_drawn):
    first = make_announced(count=10, quota=3)
    removed, *_, added = by_rank(first)
    second, after = screened_with(added)
    draw = drawing.freeze(second, at=after)
    if is_drawn:
        drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(after), at=after)
        drawing.run(draw, signature=BEACON.signature(draw.round), at=after + timedelta(hours=1))
    text = f"-; {ticket(first, removed)}; false data\n+; {ticket(first, added)}; was taken for somebody else"

    with pytest.raises(NotNow, match="holds a ticket of wave 2"):
        correction.issue(first.wave, correction.read(text), by="Denni", at=LATER)

    assert Decree.objects.count() == 1
    drawing.annul(draw, reason="A wrong list.", at=LATER)
    assert correction.issue(first.wave, correction.read(text), by="Denni", at=LATER).names == 2


@pytest.mark.django_db(transaction=True)
def test_nobody_is_added_or_called_in_the_middle_of_a_freeze():
    first = make_announced(count=10, quota=3)
    removed, *_, added = by_rank(first)
    second, after = screened_with(added)
    changes = correction.read(f"-; {ticket(first, removed)}; false data\n+; {ticket(first, added)}; false data")

    with at_the_same_time(lambda: correction.issue(first.wave, changes, by="Denni", at=LATER)) as other:
        drawing.freeze(second, at=after)

    assert isinstance(other.error, NotNow)
    assert "gelombang 2" in str(other.error)


def test_a_correction_keeps_the_cap_of_a_household():
    wave = make_wave(quota=10, rule_set="2021-03")
    ids = make_applicants(wave, 10)
    share_household(ids[:4])
    draw = draw_and_announce(wave)
    kept_back, *_ = drawing.kept_back(draw)
    [stranger] = make_applicants(make_wave(2), 1, first=700)

    def add(who):
        return correction.issue(draw.wave, correction.read(f"+; {who}; a wrong list"), by="Denni", at=LATER)

    with pytest.raises(NotNow, match="Of a household, more than 2"):
        add(ticket(draw, kept_back))
    assert Recipient.objects.count() == 8
    assert add(Registrant.objects.get(pk=stranger).reference).names == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "adds or removes somebody"),
        ("+; 0123456789abcde", "Line 1"),
        ("*; 0123456789abcde; reason", "Line 1"),
        ("+; 0123456789abcde; reason\n-; 01234-56789-abcde; reason", "two lines"),
        ("\n".join(f"+; {number:015x}; reason" for number in range(1001)), "1000 lines at most"),
    ],
)
def test_a_correction_that_says_nothing_is_refused(text, fault):
    with pytest.raises(NotNow, match=fault):
        correction.read(text)


def test_a_correction_of_somebody_who_is_not_what_it_says_changes_nothing():
    draw = make_announced(count=10, quota=3)
    order = by_rank(draw)
    [first, second, *_], [reserve, *_] = order[:3], order[3:]
    wave = Wave.objects.get(pk=1)
    for text, fault in [
        ("-; 0123456789abcde; reason", "no ticket and no registration"),
        ("-; nobody; reason", "no ticket and no registration"),
        (f"-; {ticket(draw, reserve)}; reason", "no recipient of this wave"),
        (f"+; {ticket(draw, first)}; reason", "selected before"),
        (f"+; {ticket(draw, reserve)}; reason", "0 free seats"),
        (f"-; {ticket(draw, first)}; reason\n-; {ticket(draw, reserve)}; reason", "no recipient"),
    ]:
        with pytest.raises(NotNow, match=fault):
            correction.issue(wave, correction.read(text), by="Denni", at=LATER)

    buy(2)
    with pytest.raises(NotNow, match="bought a training"):
        correction.issue(
            wave,
            correction.read(
                f"-; {ticket(draw, sorted(Recipient.objects.values_list('registrant_id', flat=True))[0])}; reason"
            ),
            by="Denni",
            at=LATER,
        )
    assert Decree.objects.count() == 1
    assert not Recipient.objects.exclude(ended_at=None).exists()
    assert second
