"""The draw: its steps, its order, what it takes, and what it refuses."""

import hashlib
import random
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import IntegrityError, connection, transaction
from django.utils import translation
from scipy.stats import chisquare, kruskal, kstest, spearmanr

from foundation.services import Unavailable
from registrations.models import Registrant, Wave
from registrations.stages import Stage
from tests.people import START
from tests.waves.cast import (
    AFTER,
    BEACON,
    CLOSES,
    at_the_same_time,
    make_applicants,
    make_committed,
    make_drawn,
    make_frozen,
    make_published,
    make_staff,
    make_wave,
    run,
    share_household,
)
from tests.waves.test_randomness import ROUND, SIGNATURE
from tests.waves.test_screening import put_on_list
from waves import acts, merkle, naming
from waves import draw as drawing
from waves.models import Act, Draw, ListKind, OrderBlock, PersonList, Place, Plan, Ticket
from waves.randomness import MOCK_SCHEME, QUICKNET, BadSignature, Chain, MockBeacon
from waves.screening import NotNow, screen

pytestmark = pytest.mark.django_db

LATER = AFTER + timedelta(hours=1)


def tickets(draw):
    return list(Ticket.objects.filter(draw_id=draw.pk).order_by("position"))


def taken(draw):
    """By rank: position and room of who was taken."""
    return {place.rank: (place.position, place.room) for place in Place.objects.filter(draw_id=draw.pk)}


def order(draw):
    """The positions by rank."""
    blocks = OrderBlock.objects.filter(draw_id=draw.pk).order_by("block").values_list("positions", flat=True)
    return [position for block in blocks for position in block]


def naive(draw):
    """The selection as docs/draw.md tells it, word by word: by rank, the room in which each one was taken."""
    seed = bytes(draw.seed)
    ranked = sorted(
        tickets(draw), key=lambda ticket: (hashlib.sha256(seed + ticket.number.to_bytes(8, "big")).digest(), ticket.number)
    )
    full = defaultdict(int)
    for ticket in ranked:
        if ticket.household is not None:
            full[bytes(ticket.household)] = ticket.before
    found = {}

    def go(room, seats):
        for rank, ticket in enumerate(ranked, start=1):
            household = bytes(ticket.household) if ticket.household is not None else None
            if seats == 0:
                return
            if rank in found or (room and ticket.room != room):
                continue
            if household and draw.household_cap and full[household] >= draw.household_cap:
                continue
            full[household] += 1
            found[rank] = (ticket.position, room)
            seats -= 1

    for room in draw.rooms:
        go(room["number"], room["seats"])
    go(0, draw.quota - len(found))
    return [ticket.position for ticket in ranked], found


# Freeze


def test_every_eligible_application_gets_a_ticket_and_nobody_else():
    wave = make_wave()
    ids = make_applicants(wave, 20)
    put_on_list(ListKind.ASN, 3, 4)
    screen(wave, at=AFTER)

    draw = drawing.freeze(wave, at=AFTER)

    found = tickets(draw)
    assert {ticket.registrant_id for ticket in found} == set(ids) - {ids[2], ids[3]}
    assert draw.tickets == 18
    numbers = [ticket.number for ticket in found]
    assert numbers == sorted(set(numbers))
    assert all(0 <= number < 2**60 for number in numbers)
    assert [ticket.position for ticket in found] == list(range(18))


def test_the_list_is_written_down_with_its_hash_and_its_root():
    draw = make_frozen(count=30)

    lines = [f"{ticket.number:015x},0,,0".encode() for ticket in tickets(draw)]
    tree = merkle.Tree()
    tree.add(lines)
    assert bytes(draw.root) == tree.root()
    text = b"ticket,room,household,before\n" + b"".join(line + b"\n" for line in lines)
    assert bytes(draw.list_sha256) == hashlib.sha256(text).digest()


def test_a_household_is_shown_only_where_it_matters_and_never_the_same_twice():
    wave = make_wave(rule_set="2021-03")
    ids = make_applicants(wave, 10)
    share_household(ids[:3])
    screen(wave, at=AFTER)
    first = drawing.freeze(wave, at=AFTER)
    drawing.annul(first, reason="once more", at=AFTER)
    second = drawing.freeze(wave, at=AFTER)

    for draw in (first, second):
        shown = {ticket.registrant_id: bytes(ticket.household) for ticket in tickets(draw) if ticket.household is not None}
        assert shown.keys() == set(ids[:3])
        assert len(set(shown.values())) == 1
    shown = {bytes(ticket.household) for ticket in Ticket.objects.exclude(household=None)}
    assert len(shown) == 2


def test_tickets_are_no_function_of_the_person():
    draw = make_frozen(count=40)
    drawing.annul(draw, reason="once more", at=AFTER)
    again = drawing.freeze(draw.wave, at=AFTER)

    def numbers(draw):
        return {ticket.registrant_id: ticket.number for ticket in tickets(draw)}

    assert not set(numbers(draw).items()) & set(numbers(again).items())


def test_the_list_that_said_who_has_a_rooms_seats_is_kept_with_the_draw():
    wave = make_wave(rooms=[{"name": "priority", "seats": 2, "list": "priority"}])
    make_applicants(wave, 5)
    put_on_list(ListKind.ASN, 5)
    priority = put_on_list(ListKind.PRIORITY, 1, 2)
    screen(wave, at=AFTER)

    first = drawing.freeze(wave, at=AFTER)
    newer = replace(priority, 3)
    drawing.annul(first, reason="The priority list was the wrong one.", at=AFTER)
    second = drawing.freeze(wave, at=AFTER)

    assert (list(first.lists.all()), list(second.lists.all())) == ([priority], [newer])
    assert (len(in_room(first)), len(in_room(second))) == (2, 1)
    assert not make_frozen_without_rooms().lists.exists()


def replace(old, *numbers):
    """A newer list of the kind is there."""
    PersonList.objects.filter(pk=old.pk).update(replaced_by=old)
    new = put_on_list(old.kind, *numbers)
    PersonList.objects.filter(pk=old.pk).update(replaced_by=new)
    return new


def in_room(draw):
    return [ticket for ticket in tickets(draw) if ticket.room == 1]


def make_frozen_without_rooms():
    wave = make_wave(2)
    make_applicants(wave, 2, first=50)
    at = wave.closes_at + timedelta(hours=1)
    screen(wave, at=at)
    return drawing.freeze(wave, at=at)


@pytest.mark.parametrize("change", ["a newer list", "a list of another kind", "an application", "the rules"])
def test_a_list_is_frozen_only_as_it_was_screened(change):
    wave = make_wave()
    make_applicants(wave, 3)
    asn = put_on_list(ListKind.ASN, 1)
    screen(wave, at=AFTER)
    match change:
        case "a newer list":
            replace(asn, 2)
        case "a list of another kind":
            put_on_list(ListKind.SOCIAL_AID, 2)
        case "an application":
            make_applicants(wave, 1, first=10)
        case "the rules":
            Plan.objects.update(rule_set="2021-03")

    with pytest.raises(NotNow, match="since the screening"):
        drawing.freeze(wave, at=AFTER)
    assert not Ticket.objects.exists()

    screen(wave, at=AFTER)
    assert drawing.freeze(wave, at=AFTER).tickets


def test_a_list_that_no_rule_looks_at_keeps_nothing_from_the_freeze():
    wave = make_wave()
    make_applicants(wave, 3)
    screen(wave, at=AFTER)
    put_on_list(ListKind.PRIORITY, 1)

    assert drawing.freeze(wave, at=AFTER).tickets == 3


@pytest.mark.parametrize("spoil", ["open", "unscreened", "no quota", "frozen", "rooms"])
def test_a_list_is_frozen_only_when_everything_is_ready(spoil):
    wave = make_wave(rooms=[{"name": "all", "seats": 11, "list": "priority"}] if spoil == "rooms" else [])
    make_applicants(wave, 3)
    if spoil != "unscreened":
        screen(wave, at=AFTER)
    if spoil == "no quota":
        wave.quota = 0
        wave.save()
    if spoil == "frozen":
        drawing.freeze(wave, at=AFTER)
    before = Ticket.objects.count()

    with pytest.raises(NotNow):
        drawing.freeze(wave, at=CLOSES - timedelta(seconds=1) if spoil == "open" else AFTER)

    assert Ticket.objects.count() == before


def test_with_nobody_eligible_there_is_nothing_to_freeze():
    wave = make_wave()
    screen(wave, at=AFTER)

    with pytest.raises(NotNow, match="Nobody"):
        drawing.freeze(wave, at=AFTER)


# Commit and randomness


def test_the_commitment_hides_the_secret_and_binds_to_it():
    draw = make_frozen()

    drawing.commit(
        draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER, token_bytes=lambda size: b"s" * size
    )

    draw.refresh_from_db()
    assert bytes(draw.commitment) == hashlib.sha256(b"prakerja-draw-1 commitment" + b"s" * 32).digest()
    assert b"s" * 16 not in bytes(draw.secret), "sealed until it is published"
    assert drawing.secret_of(draw) == b"s" * 32


def test_a_round_of_the_past_is_refused():
    draw = make_frozen()
    past = BEACON.chain.first_after(AFTER) - 1

    with pytest.raises(NotNow, match="past"):
        drawing.commit(draw, chain=BEACON.chain, round=past, at=AFTER)

    assert Draw.objects.get().committed_at is None


def test_the_secret_is_made_once():
    draw = make_committed()

    with pytest.raises(NotNow, match="already"):
        drawing.commit(draw, chain=BEACON.chain, round=draw.round + 5, at=AFTER)


def test_a_draw_without_commitment_or_with_a_wrong_signature_is_refused_and_leaves_nothing():
    draw = make_frozen()
    with pytest.raises(NotNow, match="not committed"):
        drawing.run(draw, signature=b"x", at=LATER)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)
    for signature in (BEACON.signature(draw.round + 1), BEACON.signature(draw.round)[:-1], b""):
        with pytest.raises(BadSignature):
            drawing.run(draw, signature=signature, at=LATER)

    draw.refresh_from_db()
    assert draw.seed is None
    assert not OrderBlock.objects.exists()
    run(draw)
    with pytest.raises(NotNow, match="has been made"):
        run(draw)


def test_a_round_of_another_chain_is_refused():
    draw = make_frozen()
    drawing.commit(draw, chain=QUICKNET, round=ROUND, at=AFTER)

    with pytest.raises(BadSignature):
        drawing.run(draw, signature=BEACON.signature(draw.round), at=QUICKNET.at(ROUND))


def test_a_published_round_of_drand_draws():
    draw = make_frozen(count=12, quota=4)
    drawing.commit(draw, chain=QUICKNET, round=ROUND, at=AFTER)

    drawing.run(draw, signature=SIGNATURE, at=QUICKNET.at(ROUND))

    assert (draw.selected, draw.is_mock) == (4, False)
    assert order(draw) == naive(draw)[0]


# Order and selection


def test_seed_and_order_follow_from_root_terms_secret_randomness_and_wave():
    draw = make_drawn(count=50)

    randomness = hashlib.sha256(BEACON.signature(draw.round)).digest()
    place = (1).to_bytes(4, "big") + (1).to_bytes(4, "big")
    terms = hashlib.sha256(b"prakerja-draw-1 terms" + b"quota 10\ncap none\n").digest()
    told = b"prakerja-draw-1 seed" + bytes(draw.root) + terms + drawing.secret_of(draw) + randomness + place
    assert bytes(draw.seed) == hashlib.sha256(told).digest()
    assert order(draw) == naive(draw)[0]


@pytest.mark.parametrize("seed", range(12))
def test_who_is_taken_is_what_the_page_says(seed):
    rng = random.Random(seed)
    rooms = [
        {"name": "priority", "seats": rng.randrange(0, 12), "list": "priority"},
        {"name": "West Java", "seats": rng.randrange(0, 12), "province": 32},
        {"name": "Aceh", "seats": 2, "province": 11},
    ]
    wave = make_wave(
        quota=rng.choice([25, 40, 100]), rule_set=rng.choice(["2020-04", "2021-03"]), rooms=rooms[: rng.randrange(4)]
    )
    ids = make_applicants(wave, 70)
    put_on_list(ListKind.PRIORITY, *rng.sample(range(1, 71), 20))
    for _ in range(12):
        share_household(rng.sample(ids, rng.randrange(2, 6)))
    screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    households = Ticket.objects.exclude(household=None).filter(position__lt=20).values_list("household", flat=True)
    Ticket.objects.filter(household__in=list(households)).update(before=1)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)

    run(draw)

    assert taken(draw) == naive(draw)[1]
    assert draw.selected == len(taken(draw)) <= draw.quota
    assert [(cut["room"], cut["taken"]) for cut in draw.cut_offs] == sorted(
        Counter(room for _, room in taken(draw).values()).items()
    )


def test_more_of_the_order_is_looked_at_when_households_are_large():
    """The first look is at a tenth more than the quota, and ten thousand; here that is not enough."""
    wave = make_wave(quota=900, rule_set="2021-03")
    ids = make_applicants(wave, 1000)
    share_household(ids[:600])
    screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)

    run(draw)

    assert draw.selected < 410
    assert taken(draw) == naive(draw)[1]


def test_a_quota_above_the_tickets_takes_all():
    draw = make_drawn(count=7, quota=100)

    assert draw.selected == 7


def test_the_chance_of_each_stratum_is_stored_with_the_frozen_list():
    rooms = [
        {"name": "priority", "seats": 6, "list": "priority"},
        {"name": "Papua", "seats": 30, "province": 91},
        {"name": "Aceh", "seats": 2, "province": 11},
    ]
    wave = make_wave(quota=50, rooms=rooms)
    make_applicants(wave, 80)
    make_applicants(wave, 20, first=500, province=91)
    put_on_list(ListKind.PRIORITY, *range(1, 13))
    screen(wave, at=AFTER)

    draw = drawing.freeze(wave, at=AFTER)

    # All 20 have a room's seat, and 6 of 12; the other 24 seats are for 68, which is less than half.
    chances = [(chance.name, chance.tickets, chance.probability) for chance in drawing.chances(draw)]
    assert chances == [("priority", 12, 1 / 2), ("Papua", 20, 1), ("", 68, pytest.approx(24 / 68))]
    assert sum(tickets * chance for _, tickets, chance in chances) == pytest.approx(draw.quota)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)
    run(draw)
    draw.refresh_from_db()
    assert [(chance.name, chance.taken) for chance in drawing.chances(draw)][1] == ("Papua", 20)
    assert sum(chance.taken for chance in drawing.chances(draw)) == draw.selected == 50


@pytest.mark.parametrize("quota", [1, 30, 99, 100, 500])
def test_without_rooms_all_have_the_same_chance(quota):
    [of_all] = drawing.inclusion(quota, {}, {0: 100})

    assert of_all == {"room": 0, "tickets": 100, "probability": min(quota / 100, 1)}


def test_over_many_draws_each_stratum_is_taken_as_often_as_was_stored():
    seats, sizes, quota = {1: 80, 2: 30}, {0: 400, 1: 100, 2: 300}, 250
    of_room = [room for room, size in sizes.items() for _ in range(size)]
    rng, times = random.Random(7), Counter()
    for _ in range(300):
        ranked = rng.sample(range(len(of_room)), len(of_room))
        first = {id for room, count in seats.items() for id in [id for id in ranked if of_room[id] == room][:count]}
        rest = [id for id in ranked if id not in first]
        times.update(of_room[id] for id in [*first, *rest[: quota - len(first)]])

    found = {one["room"]: one["probability"] for one in drawing.inclusion(quota, seats, sizes)}
    assert found == {0: pytest.approx(170 / 700), 1: 0.8, 2: pytest.approx(170 / 700)}
    assert {room: times[room] / 300 / size for room, size in sizes.items()} == pytest.approx(found, abs=0.01)


def test_rank_place_and_proof_of_each_ticket_are_found():
    draw = make_drawn(count=2500, quota=100)
    ranked, found = order(draw), taken(draw)

    for ticket in random.Random(1).sample(tickets(draw), 25):
        rank = drawing.rank_of(draw, ticket)
        assert ranked[rank - 1] == ticket.position
        place = drawing.place_of(draw, ticket)
        assert (place is not None) == (rank in found)
        proof = drawing.proof(draw, ticket.position)
        assert merkle.holds(proof.line.encode(), proof.position, proof.tickets, proof.path, bytes(draw.root))
        text = drawing.ticket_text(ticket.number).upper()
        assert drawing.find_ticket(draw, f" {text[:5]}-{text[5:10]} {text[10:]}") == ticket
    for nonsense in ("", "x" * 15, "0" * 14, "0" * 16, "'; DROP TABLE"):
        assert drawing.find_ticket(draw, nonsense) is None


def unhappened(draw, signature):
    """What a draw by this signature comes to, that has not happened afterwards."""
    with transaction.atomic():
        drawing.run(draw, signature=signature, at=AFTER + timedelta(days=1))
        found = bytes(draw.seed), order(draw), taken(draw), draw.cut_offs, draw.selected
        transaction.set_rollback(True)
    return found


def test_being_drawn_has_nothing_to_do_with_who_one_is_or_when_one_came():
    """200 draws of the same 300 people: arrival, id, province, sex and hour say nothing about the rank."""
    wave = make_wave(quota=60)
    hours = [START + timedelta(hours=2 * number) for number in range(12)]
    ids = [id for number, hour in enumerate(hours) for id in make_applicants(wave, 25, first=1 + 25 * number, at=hour)]
    rng = random.Random(5)
    for id in ids:
        Registrant.objects.filter(pk=id).update(province=rng.choice([11, 31, 32, 33, 35]), sex=rng.choice([1, 2]))
    screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    # Numbers, root, secret and key that are the same in each run of this test: by chance alone, one in some dozens would fail.
    rows = {row.registrant_id: row for row in tickets(draw)}
    for id in ids:
        rows[id].number = rng.randrange(2**60)
    Ticket.objects.bulk_update(rows.values(), ["number"])
    Draw.objects.update(root=bytes(32))
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    chain = Chain("0" * 64, MOCK_SCHEME, key.public_key().public_bytes_raw().hex(), BEACON.chain.genesis, 30)
    first = chain.first_after(AFTER)
    drawing.commit(draw, chain=chain, round=first, at=AFTER, token_bytes=bytes)
    facts, index = Registrant.objects.in_bulk(ids), {id: number for number, id in enumerate(ids)}
    assert {fact.registered_at for fact in facts.values()} == set(hours)
    assert rows.keys() == set(ids)
    traits = {
        "arrival": lambda id: index[id] // 50,
        "id": lambda id: index[id] % 7,
        "province": lambda id: facts[id].province,
        "sex": lambda id: facts[id].sex,
        "hour": lambda id: facts[id].registered_at.hour,
    }
    here = {row.position: id for id, row in rows.items()}
    times, p_values = Counter(), defaultdict(list)

    for round in range(first, first + 200):
        Draw.objects.update(round=round)
        _, by_rank, places, _, _ = unhappened(draw, key.sign(hashlib.sha256(round.to_bytes(8, "big")).digest()))
        rank = {here[position]: number for number, position in enumerate(by_rank)}
        times.update(here[position] for position, _ in places.values())
        p_values["order of arrival"].append(spearmanr(range(300), [rank[id] for id in ids]).pvalue)
        for name, trait in traits.items():
            groups = defaultdict(list)
            for id in ids:
                groups[trait(id)].append(rank[id])
            p_values[name].append(kruskal(*groups.values()).pvalue)

    assert times.total() == 60 * 200
    uniform = {name: kstest(found, "uniform").pvalue for name, found in p_values.items()}
    assert {name: found for name, found in uniform.items() if found <= 0.01} == {}, "rank against each, draw by draw"
    for trait in traits.values():
        drawn, all_of = Counter(), Counter(map(trait, ids))
        for id in ids:
            drawn[trait(id)] += times[id]
        expected = [all_of[value] * 60 * 200 / 300 for value in sorted(all_of)]
        assert chisquare([drawn[value] for value in sorted(all_of)], expected).pvalue > 0.01, "over all"


def test_the_same_tickets_put_in_in_another_order_come_to_the_same_result():
    rooms = [{"name": "priority", "seats": 8, "list": "priority"}]
    wave = make_wave(quota=40, rule_set="2021-03", rooms=rooms)
    ids, rng = make_applicants(wave, 450), random.Random(8)
    put_on_list(ListKind.PRIORITY, *range(1, 60))
    for _ in range(40):
        share_household(rng.sample(ids, 4))
    screen(wave, at=AFTER)
    draw = drawing.freeze(wave, at=AFTER)
    drawing.commit(draw, chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER)

    first = unhappened(draw, BEACON.signature(draw.round))
    for _ in range(100):
        shuffle_tickets()
        assert unhappened(draw, BEACON.signature(draw.round)) == first
    assert first[4] == 40


def shuffle_tickets():
    """The same rows, as if they had come in another order."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE came AS SELECT * FROM waves_ticket")
        cursor.execute("TRUNCATE waves_ticket")
        cursor.execute("INSERT INTO waves_ticket SELECT * FROM came ORDER BY random()")
        cursor.execute("DROP TABLE came")


# Publishing and annulling; two people


def test_a_wave_has_one_draw_by_constraint():
    draw = make_frozen(count=3)

    with pytest.raises(IntegrityError), transaction.atomic():
        Draw.objects.create(
            wave=draw.wave,
            attempt=2,
            screening=draw.screening,
            quota=1,
            rooms=[],
            frozen_at=AFTER,
            tickets=1,
            list_sha256=b"x",
            root=b"x",
            subtrees=b"",
        )


def make_screened(count=5):
    wave = make_wave()
    make_applicants(wave, count)
    screen(wave, at=AFTER)


ONCE = {
    "freeze": (make_screened, lambda: drawing.freeze(Wave.objects.get(), at=AFTER), "The list of wave 1 is frozen"),
    "commit": (
        make_frozen,
        lambda: drawing.commit(Draw.objects.get(), chain=BEACON.chain, round=BEACON.chain.first_after(AFTER), at=AFTER),
        "committed already",
    ),
    "draw": (make_committed, lambda: run(Draw.objects.get()), "The draw has been made"),
    "decree": (
        make_published,
        lambda: naming.issue(Draw.objects.get(), by="Denni", at=LATER),
        "A decree names those who were drawn already",
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("make", "step", "refusal"), ONCE.values(), ids=ONCE)
def test_of_two_who_do_the_same_step_at_once_one_does_it_and_the_other_is_told_so(make, step, refusal):
    make(count=5)

    with at_the_same_time(translation.override("en")(step)) as other:
        step()
        [done] = all_of_the_draw()

    assert other.waited
    assert isinstance(other.error, NotNow)
    assert refusal in str(other.error)
    assert all_of_the_draw() == [done]


def all_of_the_draw():
    """Each draw with its row, tickets, order, places and decrees."""
    return [
        (values, tickets(draw), order(draw), taken(draw), list(draw.decrees.values()))
        for draw, values in zip(Draw.objects.all(), Draw.objects.values(), strict=True)
    ]


def test_a_draw_is_annulled_for_a_reason_and_stays_visible():
    draw = make_published(count=20)
    first = order(draw)
    with pytest.raises(NotNow, match="reason"):
        drawing.annul(draw, reason=" ", at=LATER)

    drawing.annul(draw, reason="The priority list was the wrong one.", at=LATER)
    again = drawing.freeze(draw.wave, at=LATER)

    assert (draw.attempt, again.attempt) == (1, 2)
    assert order(draw) == first
    with pytest.raises(NotNow, match="annulled"):
        drawing.publish(draw, at=LATER)
    again.annulled_at = None
    Draw.objects.filter(pk=again.pk).update(annulled_at=LATER, annulled_because="again")
    with connection.cursor() as cursor, pytest.raises(IntegrityError), transaction.atomic():
        cursor.execute("UPDATE waves_draw SET announced_at = now() WHERE id = %s", [draw.pk])


@pytest.mark.parametrize(
    "step",
    [
        "announced_at = now()",
        "published_at = now()",
        "drawn_at = now(), seed = sha256('x'), signature = sha256('x'), selected = 0",
    ],
)
def test_the_database_lets_no_step_come_without_the_one_before(step):
    make_frozen(count=4)

    with connection.cursor() as cursor, pytest.raises(IntegrityError), transaction.atomic():
        cursor.execute(f"UPDATE waves_draw SET {step}")


def done(act, by=None, at=AFTER):
    """The act, confirmed by somebody and carried out."""
    if by:
        acts.confirm(act, by=by)
    acts.carry_out(act, beacon=BEACON, at=at)


def test_each_step_takes_two_people():
    maker, checker = make_staff("maker"), make_staff("checker")
    wave = make_wave(quota=5)
    make_applicants(wave, 20)
    done(acts.ask(wave, Act.Name.SCREEN, by=maker))

    freeze = acts.ask(wave, Act.Name.FREEZE, by=maker)
    with pytest.raises(NotNow, match="Two people"):
        acts.confirm(freeze, by=maker)
    with pytest.raises(NotNow, match="Nobody has confirmed"):
        acts.carry_out(freeze, beacon=BEACON, at=AFTER)
    assert not Draw.objects.exists()
    done(freeze, by=checker)
    round = BEACON.chain.first_after(AFTER)
    done(acts.ask(wave, Act.Name.COMMIT, by=checker, round=round), by=maker)
    done(acts.ask(wave, Act.Name.DRAW, by=maker, signature=BEACON.signature(round).hex()), at=LATER)
    done(acts.ask(wave, Act.Name.PUBLISH, by=maker), by=checker, at=LATER)

    draw = Draw.objects.get()
    assert draw.published_at == LATER
    assert draw.selected == 5
    told = Act.objects.values_list("name", "maker__username", "checker__username")
    assert list(told) == [
        ("screen", "maker", "maker"),
        ("freeze", "maker", "checker"),
        ("commit", "checker", "maker"),
        ("draw", "maker", "maker"),
        ("publish", "maker", "checker"),
    ]
    with pytest.raises(IntegrityError), transaction.atomic():
        Act.objects.filter(name="publish").update(checker=maker)


def test_an_act_is_asked_for_once_done_once_and_taken_back_before():
    maker, checker = make_staff("maker"), make_staff("checker")
    wave = make_wave()
    make_applicants(wave, 3)
    act = acts.ask(wave, Act.Name.FREEZE, by=maker)
    with pytest.raises(NotNow, match="already"):
        acts.ask(wave, Act.Name.FREEZE, by=checker)
    acts.confirm(act, by=checker)
    with pytest.raises(NotNow, match="already"):
        acts.confirm(act, by=make_staff("third"))

    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: AFTER) == 0
    act.refresh_from_db()
    assert "screened" in act.refused
    acts.withdraw(act)
    screen(wave, at=AFTER)
    act = acts.ask(wave, Act.Name.FREEZE, by=checker)
    acts.confirm(act, by=maker)
    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: AFTER) == 1
    assert acts.carry_out_waiting(beacon=BEACON, clock=lambda: AFTER) == 0

    with pytest.raises(NotNow, match="done"):
        acts.carry_out(act, beacon=BEACON, at=AFTER)
    with pytest.raises(NotNow, match="done"):
        acts.withdraw(act)
    assert Registrant.objects.filter(stage=Stage.PHONE_VERIFIED).count() == 3


@pytest.mark.parametrize(
    ("name", "details", "message"),
    [
        (Act.Name.COMMIT, {"round": 0}, "no such round"),
        (Act.Name.COMMIT, {"round": 2**64}, "no such round"),
        (Act.Name.DRAW, {"signature": "xyz"}, "hexadecimal"),
        (Act.Name.ANNUL, {"reason": "  "}, "reason"),
    ],
)
def test_what_says_nothing_is_not_asked_for(name, details, message):
    draw = make_frozen(count=2)

    with pytest.raises(NotNow, match=message):
        acts.ask(draw.wave, name, by=make_staff("maker"), **details)
    assert not Act.objects.exists()


def test_without_a_frozen_list_there_is_nothing_to_commit_to():
    with pytest.raises(NotNow, match="not frozen"):
        acts.ask(make_wave(), Act.Name.COMMIT, by=make_staff("maker"), round=1)


def test_the_draw_makes_itself_when_the_round_is_out():
    draw = make_committed(count=10)
    out = BEACON.chain.at(draw.round)

    assert acts.reveal(beacon=BEACON, at=out - timedelta(seconds=1)) == 0
    assert acts.reveal(beacon=Silent(), at=out) == 0, "a beacon that does not answer is asked again"
    assert acts.reveal(beacon=BEACON, at=out) == 1
    assert acts.reveal(beacon=BEACON, at=out) == 0

    draw.refresh_from_db()
    assert draw.selected == 10


class Silent:
    """A beacon that cannot be reached."""

    chain = BEACON.chain

    def signature(self, round):
        raise Unavailable("ConnectionError")


def test_a_beacon_of_another_chain_reveals_nothing():
    make_committed(count=3)

    assert acts.reveal(beacon=MockBeacon(period=31), at=LATER + timedelta(days=1)) == 0
