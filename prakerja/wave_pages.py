"""The programme office's pages of the waves: each with its people, its rules, and its draw, step by step."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from foundation import pg, services
from prakerja import recipient_pages, wave_history
from prakerja.dashboard import staff_only
from prakerja.notes import leave_note, take_note, user_of
from registrations.models import Wave
from registrations.regions import WIB, Province
from registrations.stages import DropOff
from waves import acts, planning, preview, programme, rules, screening, state
from waves import draw as drawing
from waves.models import Act, Application, Draw, ListKind, Plan, RuleSet, Screening
from waves.screening import NotNow
from waves.state import State

Name = Act.Name


class Row(NamedTuple):
    """A wave in the list."""

    wave: Wave
    state: State
    applications: int
    draw: Draw | None


class Next(NamedTuple):
    """The step that comes next, and what must be known before it is asked for."""

    name: Name
    title: str
    says: str
    #: The number that has to be typed in as well, with its label and what is proposed.
    field: str = ""
    label: str = ""
    proposed: str = ""
    #: When the proposed round is published.
    at: datetime | None = None


class Shown(NamedTuple):
    """The numbers of a step, to be looked at before somebody says yes to it."""

    figures: list[preview.Figure]
    #: Comes back with the yes: see `_must_have_looked`.
    seen: str
    #: Since another person asked for it.
    has_changed: bool = False


class Waiting(NamedTuple):
    """A step that was asked for and is not done."""

    act: Act
    #: Until somebody confirms it.
    shown: Shown | None
    #: When the round is published that was asked for.
    round_at: datetime | None


@require_safe
@staff_only
def waves_page(request: HttpRequest) -> HttpResponse:
    return _waves_page(request, {})


def _waves_page(request: HttpRequest, typed: Mapping[str, str], refusal: str = "") -> HttpResponse:
    programme.load_rule_sets()  # what ships is there to be chosen, also on a new installation
    now = pg.now()
    draws = {draw.wave_id: draw for draw in Draw.objects.filter(annulled_at=None).defer("subtrees")}
    rows = [Row(wave, state.of(wave, now), _applications(wave), draws.get(wave.number)) for wave in Wave.objects.all()]
    told = {"rows": rows, "rule_sets": RuleSet.objects.all(), "typed": typed, "refusal": refusal}
    return render(request, "office/waves.html", told, status=422 if refusal else 200)


@require_POST
@staff_only
def plan(request: HttpRequest) -> HttpResponse:
    """Plan the next wave."""
    told = request.POST
    try:
        wave = planning.plan(
            opens_at=_instant(told.get("opens_at", "")),
            closes_at=_instant(told.get("closes_at", "")),
            quota=_seats(told.get("quota", "")),
            rule_set=_rule_set(told.get("rule_set", "")),
            rooms=_rooms(told),
            by=user_of(request),
            reason=told.get("reason", ""),
            at=pg.now(),
        )
    except NotNow as refusal:
        return _waves_page(request, _kept(told), str(refusal))
    leave_note(request, _("Wave %(wave)s is planned.") % {"wave": wave.number})
    return redirect("office_wave", wave.number)


def _kept(told: QueryDict) -> dict[str, str]:
    """What was typed, to be shown again beside the refusal."""
    return {name: str(value) for name, value in told.items()}


def _instant(typed: str) -> datetime:
    """A browser's date and time have no zone: the office's is meant. Raises `NotNow`."""
    try:
        instant = parse_datetime(typed.strip())
    except ValueError:
        instant = None
    if instant is None:
        raise NotNow(_("Give date and time of opening and closing."))
    return instant if instant.tzinfo else instant.replace(tzinfo=WIB)


def _seats(typed: str) -> int:
    """A number above 0 as people write it: `800000`, `800.000` or `800,000`. Raises `NotNow`."""
    seats = _number(typed)
    if not seats:
        raise NotNow(_("A number of seats is a whole number above 0."))
    return seats


def _number(typed: str) -> int | None:
    """A whole number as people write it; None: it is none."""
    return int(re.sub("[., ]", "", typed)) if _NUMBER.fullmatch(typed.strip()) else None


#: Parted by threes or not at all: 1.5 is not 15. More digits no number of ours has.
_NUMBER = re.compile(r"[0-9]{1,30}|[0-9]{1,3}([., ][0-9]{3}){1,9}")


def _rule_set(name: str) -> RuleSet:
    found = RuleSet.objects.filter(name=name).first()
    if found is None:
        raise NotNow(_("Choose the rules of the wave."))
    return found


def _rooms(told: QueryDict) -> list[dict[str, Any]]:
    """Seats set apart, as they were typed. Raises `NotNow`."""
    priority = _number(told.get("priority_seats", "") or "0")
    if priority is None:
        raise NotNow(_("A number of seats set apart is a whole number, 0 or more."))
    return planning.set_apart(priority, _provinces(told.get("provinces", "")))


def _provinces(typed: str) -> dict[Province, int]:
    """A province's seats in each line, by its name or code: `Jawa Barat; 5.000`. Raises `NotNow`."""
    found: dict[Province, int] = {}
    for number, line in enumerate(typed.splitlines(), start=1):
        name, semicolon, seats = (" ".join(part.split()) for part in line.partition(";"))
        if not name and not semicolon:
            continue
        if not semicolon:
            raise NotNow(_("Line %(line)s is not like “province; seats”.") % {"line": number})
        province = _PROVINCES.get(name.casefold())
        if province is None:
            raise NotNow(_("Line %(line)s: there is no province “%(province)s”.") % {"line": number, "province": name})
        if province in found:
            raise NotNow(_("%(province)s stands in two lines.") % {"province": province.label})
        if not (apart := _number(seats)):
            raise NotNow(_("Line %(line)s: a number of seats is a whole number above 0.") % {"line": number})
        found[province] = apart
    return found


_PROVINCES = {text: province for province in Province for text in (province.label.casefold(), str(province.value))}


def _as_typed(plan: Plan | None) -> dict[str, str]:
    """The plan's rules and seats set apart, as the form takes them."""
    if plan is None:
        return {}
    priority = [room["seats"] for room in plan.rooms if room.get("list") == ListKind.PRIORITY]
    provinces = [f"{Province(room['province']).label}; {room['seats']}" for room in plan.rooms if "province" in room]
    return {"rule_set": plan.rule_set_id, "priority_seats": str(sum(priority)), "provinces": "\n".join(provinces)}


def _applications(wave: Wave) -> int:
    """How many have joined; after the screening, as it counted them: they do not change any more."""
    screened = wave.screenings.filter(is_current=True).first()
    return screened.applications if screened else Application.objects.filter(wave=wave).count()


@require_safe
@staff_only
def wave_page(request: HttpRequest, number: int) -> HttpResponse:
    return _wave_page(request, get_object_or_404(Wave, pk=number))


def _wave_page(request: HttpRequest, wave: Wave, typed: Mapping[str, str] | None = None, refusal: str = "") -> HttpResponse:
    now = pg.now()
    screened = wave.screenings.filter(is_current=True).select_related("rule_set").prefetch_related("lists").first()
    draw = acts.live_draw(wave)
    decree = draw.decrees.first() if draw else None
    found = state.of(wave, now)
    plan = Plan.objects.select_related("rule_set").filter(wave=wave).first()
    done = list(Act.objects.filter(wave=wave).select_related("maker", "checker"))
    waiting = [_waiting(act, wave, draw) for act in done if not act.done_at]
    coming = None if waiting else _next(found, draw, screened)
    context: dict[str, Any] = {
        "wave": wave,
        "state": found,
        "states": wave_history.states(wave, draw, decree, screened, done, now),
        "plan": plan,
        "applications": _applications(wave),
        "screening": screened,
        "reasons": _reasons(screened.reasons) if screened else [],
        "eligible": screened.applications - screened.ineligible if screened else None,
        "draw": draw,
        "decree": decree,
        "annulled": Draw.objects.filter(wave=wave).exclude(annulled_at=None).defer("subtrees"),
        "waiting": waiting,
        "done": wave_history.done(wave, draw, decree, done),
        "pending": bool(waiting),
        "next": coming,
        "shown": _shown(preview.of(coming.name, wave, draw)) if coming else None,
        "again": _shown(preview.of(Name.SCREEN, wave, None)) if coming and screened and not draw else None,
        "annulling": _shown(preview.of(Name.ANNUL, wave, draw)) if draw and not decree else None,
        "afterwards": _shown(preview.of(Name.CORRECT, wave, draw)) if draw and decree and not waiting else None,
        "rules": rules.of(plan.rule_set) if plan else [],
        "rule_sets": RuleSet.objects.all(),
        "tried": _tried(request, wave),
        "typed": typed or _as_typed(plan),
        "refusal": refusal,
        "notice": {"text": refusal, "wrong": True} if refusal else take_note(request),
        "after": recipient_pages.context_of(draw) if draw and decree else None,
        "is_mock": not services.get("randomness").chain.is_public,
    }
    return render(request, "office/wave.html", context, status=422 if refusal else 200)


def _shown(now: dict[str, int], then: dict[str, int] | None = None) -> Shown:
    return Shown(preview.figures(now, then), preview.as_text(now), then is not None and then != now)


def _waiting(act: Act, wave: Wave, draw: Draw | None) -> Waiting:
    chain, round = services.get("randomness").chain, act.details.get("round")
    at = chain.at(round) if round and chain.has(round) else None
    if act.checker_id:
        return Waiting(act, None, at)
    return Waiting(act, _shown(preview.of(Name(act.name), wave, draw, act.details), act.details.get("numbers")), at)


def _must_have_looked(told: QueryDict, numbers: dict[str, int]) -> None:
    """Raises `NotNow` unless whoever says yes has looked at these numbers, and at no older ones."""
    if not told.get("sure"):
        raise NotNow(_("Tick that you have looked at the numbers."))
    if told.get("seen") != preview.as_text(numbers):
        raise NotNow(_("The numbers are not those that you have looked at: look at them again."))


def _reasons(told: dict[str, int]) -> list[tuple[str, int]]:
    return [(str(DropOff(int(reason)).label), people) for reason, people in sorted(told.items())]


def _tried(request: HttpRequest, wave: Wave) -> dict[str, Any] | None:
    """What other rules would come to, if asked (`?try=name`)."""
    rule_set = RuleSet.objects.filter(name=request.GET.get("try", "")).first()
    if rule_set is None or wave.closes_at is None:
        return None
    found = screening.try_out(wave, rule_set)
    reasons = _reasons({str(reason.value): people for reason, people in found.reasons.items()})
    return {"rule_set": rule_set, "eligible": found.applications - found.ineligible, "reasons": reasons}


def _next(found: State, draw: Draw | None, screened: Screening | None) -> Next | None:
    if found is State.CLOSED and not screened:
        says = _("All applications are held against the rules. This can be repeated until the list is frozen.")
        return Next(Name.SCREEN, _("Screen the applications"), says)
    if found is State.CLOSED and screened and screened.ineligible == screened.applications:
        says = _(
            "Nobody is eligible: there is nothing to draw. All see on their page why, and may join the next wave; no letter is sent."
        )
        return Next(Name.ANNOUNCE, _("Announce the result"), says)
    if found is State.CLOSED:
        says = _(
            "Each eligible application gets a ticket, and the list's hashes are published. It cannot be changed afterwards."
        )
        return Next(Name.FREEZE, _("Freeze the list"), says)
    if draw is None:
        return None
    if not draw.committed_at:
        chain = services.get("randomness").chain
        says = _(
            "A secret is made, and a round of the beacon announced that lies in the future. Neither can be changed afterwards."
        )
        # An hour: time enough for the second person, and for everybody to note the commitment.
        proposed = chain.first_after(pg.now()) + 3600 // chain.period
        title = _("Fix the secret and the round")
        return Next(Name.COMMIT, title, says, "round", _("Round"), str(proposed), chain.at(proposed))
    if not draw.drawn_at:
        if drawing.chain_of(draw).at(draw.round or 0) > pg.now():
            return None
        says = _(
            "The tickets are drawn by themselves. Should the beacon not be reached from here, enter the round's signature."
        )
        return Next(Name.DRAW, _("Draw"), says, "signature", _("Signature of the round"))
    if not draw.published_at:
        return Next(Name.PUBLISH, _("Publish the draw"), _("Secret, seed, order and outcome become public, for ever."))
    if found is State.DRAWN:
        says = _(
            "All who were drawn are named in a signed list, get a card number, and are selected. It cannot be taken back."
        )
        return Next(Name.DECREE, _("Issue the decree"), says, "signer", _("Who signs it, with the office held"))
    if found is State.DECREED:
        says = _("The others are told why they were not selected, and may join the next wave.")
        return Next(Name.ANNOUNCE, _("Announce the result"), says)
    return None


@require_POST
@staff_only
def ask(request: HttpRequest, number: int) -> HttpResponse:
    """Ask for a step. It is irreversible: whoever asks ticks that they have looked at its numbers."""
    wave = get_object_or_404(Wave, pk=number)
    name = request.POST.get("name", "")
    if name not in Name.values:
        return redirect("office_wave", number)
    details = {field: request.POST[field].strip() for field in _FIELDS if request.POST.get(field)}
    try:
        with transaction.atomic():
            acts.ask(wave, Name(name), by=user_of(request), **_typed(Name(name), details))
            _must_have_looked(request.POST, preview.of(Name(name), wave, acts.live_draw(wave)))
        leave_note(request, _("Asked for. Another person confirms it.") if Name(name).takes_two else _("It is being done."))
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
    return redirect("office_wave", number)


def _typed(name: Name, details: dict[str, str]) -> dict[str, Any]:
    """What was typed in, as the step wants it. Raises `NotNow`."""
    signer = details.get("signer", "")[:200]
    match name:
        case Name.COMMIT:
            return {"round": _round(details.get("round", ""))}
        case Name.DRAW:
            return {"signature": details.get("signature", "")}
        case Name.ANNUL:
            return {"reason": details.get("reason", "")}
        case Name.DECREE | Name.REVOKE:
            return {"signer": signer}
        case Name.CORRECT:
            return {"changes": details.get("changes", ""), "signer": signer}
        case Name.RESERVES:
            return {"seats": _seats(details.get("seats", "")), "signer": signer}
        case Name.MOVE:
            seats, to = _seats(details.get("seats", "")), _seats(details.get("to", ""))
            return {"seats": seats, "to": to, "reason": details.get("reason", "")}
        case _:
            return {}


def _round(typed: str) -> int:
    """Raises `NotNow` before anybody is asked to confirm a round that never comes."""
    if not (re.fullmatch("[0-9]{1,30}", typed) and services.get("randomness").chain.has(int(typed))):
        raise NotNow(_("There is no such round."))
    return int(typed)


#: What may be typed in for a step.
_FIELDS = ("round", "signature", "reason", "signer", "seats", "to", "changes")


@require_POST
@staff_only
def change(request: HttpRequest, number: int) -> HttpResponse:
    """Another quota, another end of the window, or both, with the reason: all of it or nothing."""
    wave, told, now = get_object_or_404(Wave, pk=number), request.POST, pg.now()
    quota, closes_at, reason = told.get("quota", "").strip(), told.get("closes_at", "").strip(), told.get("reason", "")
    try:
        if not quota and not closes_at:
            raise NotNow(_("Give a new quota, or a new closing time."))
        with transaction.atomic():
            if quota:
                planning.change_quota(wave, _seats(quota), by=user_of(request), reason=reason, at=now)
            if closes_at:
                planning.extend(wave, _instant(closes_at), by=user_of(request), reason=reason, at=now)
        leave_note(request, _("Changed."))
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
    return redirect("office_wave", number)


@require_POST
@staff_only
def change_rules(request: HttpRequest, number: int) -> HttpResponse:
    """Other rules, other seats set apart, or both, with the reason."""
    wave, told = get_object_or_404(Wave, pk=number), request.POST
    try:
        rule_set, rooms = _rule_set(told.get("rule_set", "")), _rooms(told)
        planning.change_rules(wave, rule_set, rooms, by=user_of(request), reason=told.get("reason", ""), at=pg.now())
    except NotNow as refusal:
        return _wave_page(request, wave, _kept(told), str(refusal))
    leave_note(request, _("Changed."))
    return redirect("office_wave", number)


@require_POST
@staff_only
def decide(request: HttpRequest, number: int, act: int) -> HttpResponse:
    """Confirm what another person has asked for, or take it back."""
    asked = get_object_or_404(Act, pk=act, wave=number)
    try:
        if "withdraw" in request.POST:
            acts.withdraw(asked)
            leave_note(request, _("Taken back."))
        else:
            with transaction.atomic():
                acts.confirm(asked, by=user_of(request))
                _must_have_looked(
                    request.POST, preview.of(Name(asked.name), asked.wave, acts.live_draw(asked.wave), asked.details)
                )
            leave_note(request, _("Confirmed. It is being done."))
    except NotNow as refusal:
        leave_note(request, str(refusal), wrong=True)
    return redirect("office_wave", number)
