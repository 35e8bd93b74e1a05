"""What a recipient does with the training balance: look for trainings, buy, use, cancel and rate them."""

from base64 import b32encode
from datetime import datetime, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Case, F, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from foundation import pg
from foundation.sealing import mac
from registrations.models import Registrant
from registrations.regions import WIB
from registrations.session import signed_in
from registrations.stages import Stage
from trainings import cancelling, purchasing, reviewing, statement
from trainings.forms import FilterForm, ReviewForm
from trainings.models import Purchase, Review, Training
from trainings.purchasing import Order, Outcome
from trainings.statement import Statement
from waves.mine import Membership, membership

PAGE = 12
State = Purchase.State


def _mine(registrant: Registrant, now: datetime) -> dict[str, Any]:
    """What all these pages know of the registrant: membership, statement, and the day that is next to be kept."""
    if registrant.stage < Stage.SELECTED:
        return {"membership": None, "statement": None, "deadline": None}
    found, money = membership(registrant.pk, now), statement.of(registrant.pk)
    return {"membership": found, "statement": money, "deadline": _deadline(registrant, found, money, now)}


def _deadline(
    registrant: Registrant, found: Membership | None, money: Statement | None, now: datetime
) -> dict[str, Any] | None:
    """The last instant at which something must be done, and the days until then, today not counted; None: there is none."""
    if found is None or money is None or found.ended_at:
        return None
    is_first = registrant.stage == Stage.SELECTED
    last = found.buy_by if is_first and found.buy_by else money.use_by - timedelta(seconds=1)
    if not is_first and not money.balance:
        return None
    left = (last.astimezone(WIB).date() - now.astimezone(WIB).date()).days
    return {"is_first": is_first, "last": last, "days": left, "is_near": left <= 7, "is_over": now > last}


# The catalogue


def _on_sale(now: datetime) -> QuerySet[Training]:
    """What can be bought at this instant, with the seats that are left; what is sold out comes last."""
    offered = Training.objects.filter(valid_from__lte=now, valid_until__gt=now, platform__is_active=True)
    return _with_seats(offered).order_by(Case(When(left=0, then=Value(1)), default=Value(0)), "title", "id")


def _with_seats(trainings: QuerySet[Training]) -> QuerySet[Training]:
    return trainings.select_related("platform", "provider").annotate(left=F("seats") - F("taken"))


@require_safe
@signed_in
def catalogue(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    """All that is on sale, narrowed by what is asked for."""
    now = pg.now()
    mine = _mine(registrant, now)
    money = mine["statement"]
    form = FilterForm(request.GET, balance=money.balance if money else None)
    page = Paginator(form.narrow(_on_sale(now)), PAGE).get_page(request.GET.get("page"))
    asked = request.GET.copy()
    asked.pop("page", None)
    context = {"filters": form, "page": page, "asked": asked.urlencode(), **mine}
    return render(request, "registrants/trainings.html", context)


@require_safe
@signed_in
def training_page(request: HttpRequest, registrant: Registrant, id: int) -> HttpResponse:
    now = pg.now()
    training = get_object_or_404(_with_seats(Training.objects.all()), pk=id)
    mine = _mine(registrant, now)
    context = {
        "training": training,
        "owned": _live(_purchases_of(registrant, training)),
        "refused": _foreseen(training, registrant, now),
        **mine,
    }
    return render(request, "registrants/training.html", context)


# Buying


@signed_in
def buy(request: HttpRequest, registrant: Registrant, id: int) -> HttpResponse:
    """Price and balance are shown once more; one button buys. Pressed twice, or in two tabs, it buys once."""
    now = pg.now()
    training = get_object_or_404(_with_seats(Training.objects.all()), pk=id)
    before = _purchases_of(registrant, training)
    if request.method == "POST":
        sent, price = request.POST.get("order", ""), request.POST.get("price", "")
        known = next((purchase for purchase in before if purchase.reference == sent), None) or _live(before)
        if known:
            return redirect("purchase", id=known.pk)
        if sent not in _references(registrant, training, len(before)) or not (price.isascii() and price.isdecimal()):
            return _buy_page(request, registrant, training, before, now, refused="STALE")
        order = Order(registrant.pk, training.code, sent, now, price=int(price[:12]))
        [result] = purchasing.buy([order], platform=training.platform_id)
        if result.outcome in (Outcome.BOUGHT, Outcome.ALREADY):
            return redirect("purchase", id=result.purchase_id or 0)
        training = _with_seats(Training.objects.all()).get(pk=id)
        return _buy_page(request, registrant, training, before, now, refused=result.outcome.name)
    if owned := _live(before):
        return redirect("purchase", id=owned.pk)
    return _buy_page(request, registrant, training, before, now)


def _buy_page(
    request: HttpRequest,
    registrant: Registrant,
    training: Training,
    before: list[Purchase],
    now: datetime,
    *,
    refused: str = "",
) -> HttpResponse:
    mine = _mine(registrant, now)
    money = mine["statement"]
    context = {
        "training": training,
        "order": _references(registrant, training, len(before))[-1],
        "left_after": money.balance - training.price if money else None,
        "refused": refused or _foreseen(training, registrant, now),
        **mine,
    }
    return render(request, "registrants/buy.html", context, status=409 if refused else 200)


def _foreseen(training: Training, registrant: Registrant, now: datetime) -> str:
    """Why it cannot be bought as things stand now, by the name of the outcome; so nobody presses a button in vain."""
    foreseen = purchasing.foresee(training, registrant, at=now)
    return "" if foreseen is Outcome.BOUGHT else foreseen.name


def _purchases_of(registrant: Registrant, training: Training) -> list[Purchase]:
    return list(Purchase.objects.filter(registrant_id=registrant.pk, training=training))


def _live(purchases: list[Purchase]) -> Purchase | None:
    return next((purchase for purchase in purchases if purchase.state != State.CANCELLED), None)


def _references(registrant: Registrant, training: Training, bought: int) -> list[str]:
    """The references of somebody's orders of one training: of those that came to something, and of the next one.

    Each is made of whom and what it is for, so however often its page is opened and sent, it stands for one order.
    """
    return [
        f"KP-{b32encode(mac('order', f'{registrant.pk} {training.pk} {number}'.encode())[:15]).decode()}"
        for number in range(bought + 1)
    ]


# What I have bought


@require_safe
@signed_in
def my_trainings(request: HttpRequest, registrant: Registrant) -> HttpResponse:
    mine = _mine(registrant, pg.now())
    money = mine["statement"]
    if money is None:
        return redirect("status")
    bought = [(purchase, purchase.pk in money.reviews) for purchase in money.purchases]
    return render(request, "registrants/my_trainings.html", {"bought": bought, "State": State, **mine})


def _own(registrant: Registrant, id: int) -> Purchase:
    purchases = Purchase.objects.select_related("training__platform", "training__provider")
    return get_object_or_404(purchases, pk=id, registrant_id=registrant.pk)


@require_safe
@signed_in
def purchase_page(request: HttpRequest, registrant: Registrant, id: int) -> HttpResponse:
    purchase = _own(registrant, id)
    context = {
        "purchase": purchase,
        "review": _review_of(purchase),
        "steps": _steps(purchase),
        "State": State,
        **_mine(registrant, pg.now()),
    }
    return render(request, "registrants/purchase.html", context)


def _review_of(purchase: Purchase) -> Review | None:
    return Review.objects.filter(pk=purchase.pk).first()


def _steps(purchase: Purchase) -> list[tuple[str, datetime | None]]:
    """What happens with a purchase that goes well, and when it did."""
    return [
        (_("Bought"), purchase.bought_at),
        (_("Code redeemed"), purchase.redeemed_at),
        (_("Training completed"), purchase.completed_at),
        (_("Certificate sent"), purchase.certified_at),
    ]


@signed_in
def cancel(request: HttpRequest, registrant: Registrant, id: int) -> HttpResponse:
    """Until its code is used, the money of a training can come back."""
    purchase = _own(registrant, id)
    if request.method == "POST":
        order = cancelling.Cancellation(purchase.redeem_code, pg.now())
        [outcome] = cancelling.cancel([order], platform=purchase.platform, unused_only=True)
        if outcome in (cancelling.Outcome.CANCELLED, cancelling.Outcome.ALREADY):
            return redirect("purchase", id=purchase.pk)
        purchase.refresh_from_db()
    elif purchase.state == State.CANCELLED:
        return redirect("purchase", id=purchase.pk)
    mine = _mine(registrant, pg.now())
    money = mine["statement"]
    context = {
        "purchase": purchase,
        "State": State,
        "left_after": money.balance + purchase.price if money else None,
        **mine,
    }
    return render(request, "registrants/cancel_purchase.html", context, status=409 if request.method == "POST" else 200)


@signed_in
def review(request: HttpRequest, registrant: Registrant, id: int) -> HttpResponse:
    """Rate a training and say why, once."""
    purchase = _own(registrant, id)
    if purchase.state != State.COMPLETED or _review_of(purchase):
        return redirect("purchase", id=purchase.pk)
    form = ReviewForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        told = form.cleaned_data
        opinion = reviewing.Opinion(registrant.pk, purchase.pk, told["rating"], told["text"], pg.now())
        [outcome] = reviewing.review([opinion])
        match outcome:
            case reviewing.Outcome.REVIEWED | reviewing.Outcome.ALREADY | reviewing.Outcome.NOT_COMPLETED:
                return redirect("purchase", id=purchase.pk)
            case reviewing.Outcome.UNKNOWN:
                raise Http404
            case reviewing.Outcome.BAD_RATING:
                form.add_error("rating", _("Choose a rating from 1 to 5."))
            case reviewing.Outcome.BAD_TEXT:
                form.add_error("text", _("This review holds something that cannot be stored. Type it again by hand."))
    context = {"form": form, "purchase": purchase}
    return render(request, "registrants/review.html", context, status=422 if form.is_bound else 200)
