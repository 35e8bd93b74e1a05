"""The API of trainings: each partner's own, in sets, with a problem for whatever cannot be done; nothing is half done."""

import hashlib
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from partners.models import Address, Event
from partners.scopes import Scope
from partners.webhooks import payload
from tests.partners.cast import api, make_partner
from tests.trainings.cast import by_code, card, make_present, make_recipients, make_training, order, review
from trainings import accounts, purchasing
from trainings.completing import Completion, complete
from trainings.models import Balance, Purchase, Review, Training
from trainings.redeeming import Use, commit

pytestmark = pytest.mark.django_db


@pytest.fixture
def tokopedia():
    return api(make_partner("tokopedia"))


@pytest.fixture
def nusa():
    return api(make_partner("nusa", platform=False, provider=True))


@pytest.fixture
def stranger():
    """A platform that gives trainings, too, and has nothing to do with those of the others."""
    return api(make_partner("bukalapak", provider=True))


def row(id, training="TOK-1", **changes):
    return {"card": card(id), "training": training, "reference": f"INV-{id}"} | changes


def many(client, what, items, **extra):
    """A bulk write: per row what was done, or the problem's name."""
    answer = client.post(f"/api/v1/{what}/", {"items": items}, **extra)
    assert answer.status_code == 200, answer.content
    results = answer.json()["results"]
    assert [result["index"] for result in results] == list(range(len(items)))
    return [result.get("result") or name(result["problem"]) for result in results]


def name(problem):
    return problem["type"].rpartition(":")[2]


def items(client, path):
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()["items"]


def buy(count=1, **changes):
    """So many recipients who have bought by now; their redeem codes."""
    make_present(**changes)
    ids = make_recipients(count)
    at = timezone.now() - timedelta(hours=3)
    return [result.redeem_code for result in purchasing.buy([order(id, at=at) for id in ids], platform="tokopedia")]


def redeem(codes):
    commit([Use(code, timezone.now() - timedelta(hours=2)) for code in codes], partner="nusa")


def completion(code, **changes):
    return {"redeem_code": code, "completed_at": (timezone.now() - timedelta(hours=1)).isoformat()} | changes


# Trainings


TRAINING = {
    "code": "TOK-9",
    "title": "Menjadi barista",
    "provider": "nusa",
    "mode": "webinar",
    "price": 275_000,
    "valid_from": "2020-04-11T00:00:00+07:00",
    "valid_until": "2020-12-31T00:00:00+07:00",
}


def test_a_platform_offers_a_training_and_reads_it(tokopedia, nusa):
    answer = tokopedia.post("/api/v1/trainings/", TRAINING | {"seats": 20})

    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert made == TRAINING | {
        "id": made["id"],
        "platform": "tokopedia",
        "schedule": "",
        "schedule_code": "",
        "seats": 20,
        "taken": 0,
        "valid_from": "2020-04-10T17:00:00Z",
        "valid_until": "2020-12-30T17:00:00Z",
    }
    for client in (tokopedia, nusa):
        assert client.get(f"/api/v1/trainings/{made['id']}/").json() == made
        assert items(client, "trainings/") == items(client, "trainings/?code=TOK-9") == [made]
        assert items(client, "trainings/?code=TOK-8") == []


def test_trainings_are_found_by_their_platform_and_their_provider_among_ones_own(tokopedia, nusa):
    for code, platform, provider in (("A", "tokopedia", "nusa"), ("B", "tokopedia", "lentera"), ("C", "bukalapak", "nusa")):
        make_training(code, platform=platform, provider=provider)

    def found(client, **asked):
        return {training["code"] for training in client.get("/api/v1/trainings/", asked).json()["items"]}

    assert found(tokopedia, provider="nusa") == {"A"}
    assert found(tokopedia, provider="lentera", platform="tokopedia") == {"B"}
    assert found(nusa, provider="nusa") == {"A", "C"}
    assert found(nusa, platform="bukalapak") == {"C"}
    assert found(tokopedia, platform="bukalapak") == found(nusa, provider="lentera") == found(nusa, platform="none") == set()


@pytest.mark.parametrize(
    ("changes", "status", "problem"),
    [
        ({"price": 275_000.5}, 400, "bad-request"),
        ({"price": "275000"}, 400, "bad-request"),
        ({"price": -1}, 400, "bad-request"),
        ({"price": 0}, 400, "bad-request"),
        ({"price": 2**31}, 400, "bad-request"),
        ({"seats": -1}, 400, "bad-request"),
        ({"seats": True}, 400, "bad-request"),
        ({"mode": "by post"}, 400, "bad-request"),
        ({"mode": 2}, 400, "bad-request"),
        ({"code": "two words"}, 400, "bad-request"),
        ({"code": 9}, 400, "bad-request"),
        ({"title": ""}, 400, "bad-request"),
        ({"valid_until": "2020-04-11T00:00:00+07:00"}, 400, "bad-request"),
        ({"valid_until": "2020-12-31"}, 400, "bad-request"),
        ({"taken": 0}, 400, "bad-request"),
        ({"platform": "tokopedia"}, 400, "bad-request"),
        ({"id": 1}, 400, "bad-request"),
        ({"sources": "x"}, 400, "bad-request"),
        ({"provider": "tokopedia"}, 422, "unknown-provider"),
        ({"provider": "nobody"}, 422, "unknown-provider"),
        ({"code": "TOK-1"}, 409, "training-code-taken"),
    ],
)
def test_what_is_no_training_is_refused(tokopedia, nusa, changes, status, problem):
    make_training()

    answer = tokopedia.post("/api/v1/trainings/", TRAINING | changes)

    assert (answer.status_code, name(answer.json())) == (status, problem), answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert Training.objects.count() == 1


def test_a_provider_offers_nothing(nusa):
    answer = nusa.post("/api/v1/trainings/", TRAINING)

    assert (answer.status_code, name(answer.json())) == (403, "not-allowed")


def test_a_platform_changes_its_training_and_nobody_else_does(tokopedia, nusa, stranger):
    training = make_training(seats=5)
    path = f"/api/v1/trainings/{training.pk}/"

    changed = tokopedia.patch(path, {"price": 500_000, "seats": 7})

    assert (changed.status_code, changed.json()["price"], changed.json()["seats"]) == (200, 500_000, 7)
    assert [client.patch(path, {"price": 1}).status_code for client in (nusa, stranger)] == [403, 404]
    training.refresh_from_db()
    assert (training.price, training.title) == (500_000, "Dasar pemasaran digital")


@pytest.mark.parametrize(
    ("changes", "status", "problem"),
    [
        ({"seats": 1}, 409, "seats-taken"),
        ({"seats": None}, 422, "seats-limited-or-not"),
        ({"price": 0}, 400, "bad-request"),
        ({"valid_until": "2001-01-01T00:00:00Z"}, 400, "bad-request"),
        ({"code": "TOK-2"}, 400, "bad-request"),
        ({"mode": "webinar"}, 400, "bad-request"),
        ({"taken": 0}, 400, "bad-request"),
    ],
)
def test_what_a_training_cannot_become(tokopedia, changes, status, problem):
    buy(2, seats=5)

    answer = tokopedia.patch(f"/api/v1/trainings/{Training.objects.get().pk}/", changes)

    assert (answer.status_code, name(answer.json())) == (status, problem)
    assert Training.objects.get().seats == 5


# Purchases


def test_a_platform_sells_by_card(tokopedia):
    make_present()
    [first, second] = make_recipients(2)

    [done, low, again, unknown] = many(
        tokopedia,
        "purchases",
        [
            row(first, price=400_000),
            row(second, price=1),
            row(first, price=400_000),
            row(first) | {"card": "8020000000000000", "reference": "X"},
        ],
    )

    purchase = Purchase.objects.get()
    assert done == {"purchase": purchase.pk, "redeem_code": purchase.redeem_code, "before": False}
    assert again == done | {"before": True}
    assert (low, unknown) == ("price-differs", "unknown-card")
    assert Balance.objects.get().balance == 600_000


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"card": 8020}, "bad-request"),
        ({"card": "8020 0000 0000 0000"}, "bad-request"),
        ({"price": 0.5}, "bad-request"),
        ({"price": -400_000}, "bad-request"),
        ({"reference": "two words"}, "bad-request"),
        ({"reference": ""}, "bad-request"),
        ({"state": "completed"}, "bad-request"),
        ({"registrant_id": 1}, "bad-request"),
        ({"training": "BUK-1"}, "unknown-training"),
        ({"training": "NONE"}, "unknown-training"),
        ({"training": "DEAR"}, "balance-too-low"),
        ({"training": "FULL"}, "sold-out"),
        ({"training": "OVER"}, "not-on-sale"),
    ],
)
def test_what_is_not_sold(tokopedia, stranger, changes, problem):
    make_present()
    now = timezone.now()
    window = {"valid_from": now - timedelta(days=9), "valid_until": now + timedelta(days=9)}
    make_training("BUK-1", platform="bukalapak", **window)
    make_training("DEAR", price=1_000_001, **window)
    make_training("FULL", seats=0, **window)
    make_training("OVER", valid_from=window["valid_from"], valid_until=now - timedelta(days=1))
    [id] = make_recipients(1)

    assert many(tokopedia, "purchases", [row(id, **changes)]) == [problem]
    assert not Purchase.objects.exists()


def test_a_sale_that_is_repeated_under_its_key_is_answered_the_same(tokopedia):
    make_present()
    [id] = make_recipients(1)

    answers = [
        tokopedia.write("/api/v1/purchases/", {"items": [row(id, reference=reference)]}, key="K")
        for reference in ("A", "A", "B")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert answers[0].json() == answers[1].json()
    assert Purchase.objects.count() == 1


def test_purchases_are_listed_in_pages_and_filtered(tokopedia):
    codes = buy(5)
    redeem(codes[:2])

    first = tokopedia.get("/api/v1/purchases/?limit=3").json()
    rest = tokopedia.get(first["next"]).json()

    newest_first = list(Purchase.objects.order_by("-id").values_list("redeem_code", flat=True))
    assert [purchase["redeem_code"] for purchase in first["items"] + rest["items"]] == newest_first
    assert len(first["items"]) == 3
    assert rest["next"] is None
    assert {purchase["redeem_code"] for purchase in items(tokopedia, "purchases/?state=redeemed")} == set(codes[:2])
    [one] = items(tokopedia, f"purchases/?redeem_code={codes[0]}")
    assert items(tokopedia, f"purchases/?reference={one['reference']}") == [one]
    assert tokopedia.get(f"/api/v1/purchases/{one['id']}/").json() == one
    assert items(tokopedia, "purchases/?training=NONE") == []
    later = (timezone.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert items(tokopedia, f"purchases/?bought_from={later}") == []
    assert len(items(tokopedia, f"purchases/?bought_until={later}")) == 5
    assert one == {
        "id": by_code(codes[0]).pk,
        "training": "TOK-1",
        "platform": "tokopedia",
        "reference": by_code(codes[0]).reference,
        "redeem_code": codes[0],
        "price": 400_000,
        "state": "redeemed",
        "bought_at": one["bought_at"],
        "redeemed_at": one["redeemed_at"],
        "attended_at": None,
        "meetings": [],
        "completed_at": None,
        "cancelled_at": None,
        "score": None,
        "certificate": None,
    }


@pytest.mark.parametrize(
    "query", ["state=sold", "limit=0", "limit=1001", "cursor=x", "limit=1&limit=2", "card=1", "bought_from=yesterday"]
)
def test_a_list_takes_its_own_filters_only(tokopedia, query):
    assert tokopedia.get(f"/api/v1/purchases/?{query}").status_code == 400


def test_a_provider_sees_a_code_only_when_it_was_redeemed_there(nusa):
    bought, redeemed = buy(2)
    redeem([redeemed])

    assert [purchase["redeem_code"] for purchase in items(nusa, "purchases/")] == [redeemed]
    assert nusa.get(f"/api/v1/purchases/{by_code(bought).pk}/").status_code == 404


def test_what_is_not_ones_own_is_not_there(stranger):
    [code] = buy()
    redeem([code])
    purchase = by_code(code)

    for path in (f"trainings/{purchase.training_id}/", f"purchases/{purchase.pk}/", f"purchases/{2**70}/"):
        answer = stranger.get(f"/api/v1/{path}")
        assert (answer.status_code, name(answer.json())) == (404, "not-found")
    for path in ("trainings/", "purchases/", "reviews/"):
        assert items(stranger, path) == []
    certificate = {"number": "N/1", "sha256": "0" * 64}
    for what, item in {
        "cancellations": {"redeem_code": code},
        "attendances": {"redeem_code": code, "sequence": 1},
        "completions": completion(code),
        "certificates": {"redeem_code": code} | certificate,
    }.items():
        assert many(stranger, what, [item]) == ["unknown-redeem-code"]
    assert by_code(code).state == Purchase.State.REDEEMED


# What becomes of them


def test_a_sale_is_cancelled_once(tokopedia):
    codes = buy(3)
    redeem(codes[1:])
    complete([Completion(codes[2], timezone.now())], partner="nusa", now=timezone.now() + timedelta(seconds=1))

    found = many(tokopedia, "cancellations", [{"redeem_code": code} for code in [*codes, codes[0], "NONE"]])

    assert found == [
        {"redeem_code": codes[0], "before": False},
        {"redeem_code": codes[1], "before": False},
        "purchase-completed",
        {"redeem_code": codes[0], "before": True},
        "unknown-redeem-code",
    ]
    assert accounts.totals().taken == {"tokopedia": 400_000}


def test_a_provider_does_not_cancel(nusa):
    [code] = buy()

    refused = nusa.post("/api/v1/cancellations/", {"items": [{"redeem_code": code}]})

    assert (refused.status_code, refused.json()["type"]) == (403, "urn:prakerja:problem:not-allowed")
    assert Purchase.objects.get().state == Purchase.State.ISSUED


def test_meetings_are_noted_many_at_once(nusa):
    [code, other] = buy(2)

    found = many(
        nusa,
        "attendances",
        [
            {"redeem_code": code},
            {"redeem_code": code, "sequence": 1},
            {"redeem_code": code, "sequence": 1},
            {"redeem_code": other, "sequence": 12},
            {"redeem_code": other, "sequence": "1"},
        ],
    )

    assert [result["before"] for result in found[:3]] == [False, False, True]
    assert found[3:] == ["bad-sequence", "bad-request"]
    assert by_code(code).state == Purchase.State.ATTENDING


def test_a_provider_reports_completions(nusa, tokopedia):
    codes = buy(2)
    redeem(codes)
    certificate = {"number": "NUSA/1", "sha256": "AB" * 32}

    wanted = [completion(codes[0], score=90, certificate=certificate), completion(codes[1])]
    found = many(nusa, "completions", [*wanted, wanted[0], wanted[1] | {"score": 1}])

    assert found == [
        {"redeem_code": codes[0], "before": False},
        {"redeem_code": codes[1], "before": False},
        {"redeem_code": codes[0], "before": True},
        "completed-before",
    ]
    for client in (nusa, tokopedia):
        [shown] = items(client, f"purchases/?redeem_code={codes[0]}")
        assert (shown["state"], shown["score"]) == ("completed", 90)
        assert (shown["certificate"]["number"], shown["certificate"]["sha256"]) == ("NUSA/1", "ab" * 32)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"completed_at": (timezone.now() + timedelta(days=1)).isoformat()}, "completed-in-future"),
        ({"completed_at": "2019-01-01T00:00:00Z"}, "completed-too-early"),
        ({"completed_at": "2026-01-01"}, "bad-request"),
        ({"completed_at": 1516239022}, "bad-request"),
        ({"score": 101}, "bad-request"),
        ({"score": 70.5}, "bad-request"),
        ({"certificate": {"number": "N/1", "sha256": "zz" * 32}}, "bad-request"),
        ({"certificate": {"number": "N/1", "sha256": "0 " * 32}}, "bad-request"),
        ({"certificate": {"number": "N/1"}}, "bad-request"),
        ({"certificate": {"number": '"', "sha256": "00" * 32}}, "bad-request"),
        ({"certificate": {"number": "N/1", "sha256": "00" * 32, "file": "x"}}, "bad-request"),
        ({"is_first": True}, "bad-request"),
        ({"redeem_code": 12}, "bad-request"),
        ({"redeem_code": "A" * 16}, "unknown-redeem-code"),
    ],
)
def test_what_is_no_completion(nusa, changes, problem):
    [code] = buy()
    redeem([code])

    assert many(nusa, "completions", [completion(code) | changes]) == [problem]
    assert by_code(code).state == Purchase.State.REDEEMED


def test_what_was_not_redeemed_or_was_cancelled_is_not_completed(nusa, tokopedia):
    [bought, cancelled] = buy(2)
    many(tokopedia, "cancellations", [{"redeem_code": cancelled}])

    assert many(nusa, "completions", [completion(bought), completion(cancelled)]) == ["not-redeemed", "purchase-cancelled"]


def test_one_bad_row_holds_up_no_other(nusa):
    codes = buy(2)
    redeem(codes)

    found = many(nusa, "completions", [completion(codes[0]), None, [], completion("NONE"), completion(codes[1])])

    assert [result if isinstance(result, str) else result["before"] for result in found] == [
        False,
        "bad-request",
        "bad-request",
        "unknown-redeem-code",
        False,
    ]


@pytest.mark.parametrize("body", [{}, {"items": []}, {"items": {}}, {"items": [1], "more": 1}, [], {"items": [{}] * 10_001}])
def test_a_set_is_1_to_10000_rows(nusa, body):
    assert nusa.post("/api/v1/completions/", body).status_code == 400


def test_certificates_come_later(nusa):
    codes = buy(2)
    redeem(codes)
    many(nusa, "completions", [completion(codes[0])])
    certificate = {"number": "NUSA/1", "sha256": "ab" * 32}

    rows = [{"redeem_code": code} | certificate for code in codes]
    found = many(nusa, "certificates", [*rows, rows[0], rows[0] | {"number": "NUSA/2"}])

    assert found == [
        {"redeem_code": codes[0], "before": False},
        "not-completed",
        {"redeem_code": codes[0], "before": True},
        "another-certificate",
    ]


PDF = b"%PDF-1.7 ..."


def send_file(client, code, content=PDF, *, number="NUSA/1", **more):
    file = SimpleUploadedFile("sertifikat.pdf", content, "application/pdf")
    form = {"redeem_code": code, "number": number, "file": file} | more
    return client.post("/api/v1/certificates/file/", form, format="multipart")


def test_a_certificate_may_be_sent_as_a_file(nusa):
    [code] = buy()
    redeem([code])
    many(nusa, "completions", [completion(code)])

    answers = [send_file(nusa, code), send_file(nusa, code), send_file(nusa, code, b"%PDF-1.7 other")]

    sha256 = hashlib.sha256(PDF).hexdigest()
    told = {"redeem_code": code, "number": "NUSA/1", "sha256": sha256, "before": False}
    assert [answer.status_code for answer in answers] == [201, 201, 409]
    assert [answer.json() for answer in answers[:2]] == [told, told | {"before": True}]
    assert bytes(by_code(code).certificate_sha256).hex() == sha256


@pytest.mark.parametrize(
    ("content", "status", "problem"),
    [
        (b"%PDF-" + b"x" * 50_000_000, 413, "too-large"),
        (b"%PDF-" + b"x" * 5_000_000, 413, "too-large"),
        (b"\x89PNG\r\n", 415, "not-a-pdf"),
        (b"", 400, "bad-request"),
    ],
)
def test_what_is_no_certificate_file(nusa, content, status, problem):
    [code] = buy()
    redeem([code])
    many(nusa, "completions", [completion(code)])

    answer = send_file(nusa, code, content)

    assert (answer.status_code, name(answer.json())) == (status, problem), answer.content
    assert by_code(code).certified_at is None


def test_a_certificate_file_comes_as_a_form_with_nothing_else_in_it(nusa):
    assert nusa.post("/api/v1/certificates/file/", {"redeem_code": "X"}).status_code == 415
    assert send_file(nusa, "A" * 16, score="90").status_code == 400
    assert send_file(nusa, "A" * 16).status_code == 404
    broken = nusa.generic("POST", "/api/v1/certificates/file/", b"--x", "multipart/form-data")
    assert broken.status_code == 400


def test_reviews_are_read_by_who_sells_and_who_gives(nusa, tokopedia, stranger):
    [code] = buy()
    redeem([code])
    many(nusa, "completions", [completion(code)])
    review([by_code(code).registrant_id], rating=4, text="Bagus.")

    for client in (nusa, tokopedia):
        [found] = items(client, "reviews/")
        assert (found["purchase"], found["training"], found["rating"], found["text"]) == (
            by_code(code).pk,
            "TOK-1",
            4,
            "Bagus.",
        )
        assert len(items(client, "reviews/?rating=4&training=TOK-1")) == 1
        assert items(client, "reviews/?rating=5") == items(client, "reviews/?training=NONE") == []
    assert items(stranger, "reviews/") == []
    assert Review.objects.count() == 1


# Who may, and who is told


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "trainings/", Scope.TRAININGS_READ),
        ("post", "trainings/", Scope.TRAININGS_WRITE),
        ("get", "trainings/1/", Scope.TRAININGS_READ),
        ("patch", "trainings/1/", Scope.TRAININGS_WRITE),
        ("get", "purchases/", Scope.PURCHASES_READ),
        ("post", "purchases/", Scope.PURCHASES_WRITE),
        ("get", "purchases/1/", Scope.PURCHASES_READ),
        ("post", "cancellations/", Scope.PURCHASES_WRITE),
        ("post", "attendances/", Scope.COMPLETIONS_WRITE),
        ("post", "completions/", Scope.COMPLETIONS_WRITE),
        ("post", "certificates/", Scope.COMPLETIONS_WRITE),
        ("post", "certificates/file/", Scope.COMPLETIONS_WRITE),
        ("get", "reviews/", Scope.REVIEWS_READ),
    ],
)
def test_each_act_has_its_scope(method, path, scope):
    partner = make_partner("tokopedia")

    def status(*scopes):
        return getattr(api(partner, *scopes), method)(f"/api/v1/{path}", {} if method != "get" else None).status_code

    assert status(*(set(Scope) - {scope})) == 403
    assert status(scope) not in (401, 403)


def test_a_write_needs_a_key(nusa):
    answer = nusa.post("/api/v1/completions/", {"items": [{}]}, HTTP_IDEMPOTENCY_KEY="")

    assert (answer.status_code, name(answer.json())) == (400, "idempotency-key-missing")


def test_who_listens_is_told(nusa, tokopedia):
    for partner in ("tokopedia", "nusa"):
        Address.objects.create(partner_id=partner, url="https://partner.example/hook")
    kept, cancelled = buy(2)
    redeem([kept])
    many(nusa, "completions", [completion(kept)])
    many(tokopedia, "cancellations", [{"redeem_code": cancelled}])

    told = [(event.partner_id, event.kind, payload(event)["redeem_code"]) for event in Event.objects.order_by("pk")]

    assert told == [
        ("tokopedia", "purchase.created", kept),
        ("tokopedia", "purchase.created", cancelled),
        ("nusa", "completion.accepted", kept),
        ("tokopedia", "purchase.cancelled", cancelled),
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"items": [{"redeem_code": "' + b"A" * 10_000_000 + b'"}]}', 413),
        (b'{"items": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
        (b'{"items": [{"redeem_code": "A", "score": NaN}]}', 400),
        (b'{"items": [{"redeem_code": "A", "redeem_code": "B"}]}', 400),
        (b'{"items": [{"redeem_code": "\\ud800"}]}', 400),
        (b'{"items": [', 400),
        (b"\xff", 400),
    ],
)
def test_what_is_no_json_of_ours_is_refused(nusa, body, status):
    for path in ("completions", "attendances", "certificates"):
        answer = nusa.generic("POST", f"/api/v1/{path}/", body, "application/json")
        assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
