"""The steps of a draw as acts: one person asks for it, another one confirms it, and then a worker does it.

A freeze of millions takes minutes, which no page waits for. Whatever kills the worker, an act that is confirmed and not done is
taken up again; each is one transaction with the note that it was done.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.utils.translation import gettext as _

from foundation.services import Unavailable
from registrations.models import Wave
from waves import correction, draw, naming, preview, randomness, reserves, revocation, screening, seats
from waves.models import Act, Draw
from waves.screening import NotNow

log = logging.getLogger(__name__)

Name = Act.Name

#: Each is a decree, which somebody signs.
SIGNED = (Name.DECREE, Name.CORRECT, Name.REVOKE, Name.RESERVES)


def live_draw(wave: Wave) -> Draw | None:
    """The draw of the wave that counts, from its freeze on."""
    return Draw.objects.filter(wave=wave, annulled_at=None).first()


def ask(wave: Wave, name: Name, *, by: User, **details: Any) -> Act:
    """Ask for an act; its numbers are kept with it. Raises `NotNow` when it has been asked for, or is not possible at all."""
    live = live_draw(wave)
    ends_undrawn = name is Name.ANNOUNCE and screening.keeps_all_out(wave)
    if name not in (Name.SCREEN, Name.FREEZE) and live is None and not ends_undrawn:
        raise NotNow(_("The list of wave %(wave)s is not frozen.") % {"wave": wave.number})
    _look_at(name, details)
    attempt = live.attempt if live else Draw.objects.filter(wave=wave).count() + 1
    try:
        with transaction.atomic():
            return Act.objects.create(
                wave=wave,
                attempt=attempt,
                name=name,
                maker=by,
                checker=None if name.takes_two else by,
                details=details | {"numbers": preview.of(name, wave, live, details)},
            )
    except IntegrityError:
        raise NotNow(_("Somebody has asked for this already.")) from None


def _look_at(name: Name, details: dict[str, Any]) -> None:
    """Raises `NotNow` when what was typed says nothing."""
    if name is Name.MOVE and not str(details.get("reason", "")).strip():
        raise NotNow(_("A change has a reason, which is kept."))
    if name is Name.ANNUL and not str(details.get("reason", "")).strip():
        raise NotNow(_("A draw is annulled for a reason, which is published."))
    if name is Name.COMMIT and not 0 < int(details["round"]) < 2**63:
        raise NotNow(_("There is no such round."))
    if name in SIGNED and not str(details.get("signer", "")).strip():
        raise NotNow(_("A decree says who signs it."))
    if name is Name.CORRECT:
        correction.read(str(details.get("changes", "")))
    if name in (Name.RESERVES, Name.MOVE) and not 0 < int(details.get("seats", 0)) < 2**31:
        raise NotNow(_("A number of seats is a whole number above 0."))
    if name is Name.DRAW:
        try:
            bytes.fromhex(details["signature"])
        except ValueError:
            raise NotNow(_("A signature is written in hexadecimal digits.")) from None


def withdraw(act: Act) -> None:
    """Take back what has been asked for and not been done. Raises `NotNow`."""
    if not Act.objects.filter(pk=act.pk, done_at=None).delete()[0]:
        raise NotNow(_("This has been done."))


def confirm(act: Act, *, by: User) -> None:
    """Confirm what another one has asked for: it will be done. Raises `NotNow`."""
    with transaction.atomic():
        act = Act.objects.select_for_update().get(pk=act.pk)
        if act.maker_id == by.pk:
            raise NotNow(_("Two people are needed: whoever asks for this cannot confirm it."))
        if act.checker_id:
            raise NotNow(_("Somebody has confirmed this already."))
        act.checker_id = by.pk
        act.save(update_fields=["checker"])


def carry_out(act: Act, *, beacon: randomness.Beacon, at: datetime) -> None:
    """Do what was confirmed, in one transaction with the note that it was done. Raises `NotNow` and `BadSignature`."""
    with transaction.atomic():
        act = Act.objects.select_for_update().get(pk=act.pk)
        if act.done_at:
            raise NotNow(_("This has been done."))
        if not act.checker_id:
            raise NotNow(_("Nobody has confirmed this yet."))
        _do(act, beacon, at)
        act.done_at = at
        act.save(update_fields=["done_at"])


def _do(act: Act, beacon: randomness.Beacon, at: datetime) -> None:
    if act.name == Name.SCREEN:
        screening.screen(act.wave, at=at)
        return
    if act.name == Name.FREEZE:
        draw.freeze(act.wave, at=at)
        return
    live = live_draw(act.wave)
    if act.name == Name.ANNOUNCE and act.attempt > act.wave.draws.count():  # asked for without a draw
        naming.announce_nobody(act.wave, at=at)
        return
    if live is None or live.attempt != act.attempt:
        raise NotNow(_("The draw was annulled."))
    match Name(act.name):
        case Name.COMMIT:
            draw.commit(live, chain=beacon.chain, round=int(act.details["round"]), at=at)
        case Name.DRAW:
            draw.run(live, signature=bytes.fromhex(act.details["signature"]), at=at)
        case Name.PUBLISH:
            draw.publish(live, at=at)
        case Name.ANNUL:
            draw.annul(live, reason=act.details["reason"], at=at)
        case Name.DECREE:
            naming.issue(live, by=act.details["signer"], at=at)
        case Name.ANNOUNCE:
            naming.announce(live, at=at)
        case Name.CORRECT:
            changes = correction.read(act.details["changes"])
            correction.issue(act.wave, changes, by=act.details["signer"], at=at)
        case Name.REVOKE:
            revocation.issue(act.wave, by=act.details["signer"], at=at)
        case Name.RESERVES:
            reserves.call(act.wave, int(act.details["seats"]), by=act.details["signer"], at=at)
        case Name.MOVE:
            told = act.details
            seats.move(act.wave, int(told["to"]), int(told["seats"]), by=act.maker, reason=told["reason"], at=at)


def carry_out_waiting(*, beacon: randomness.Beacon, clock: Callable[[], datetime]) -> int:
    """Do all that is confirmed; what cannot be done is noted with its reason. Return how many were done.

    One that fails in a way that nobody has foreseen is noted too, and stops no other; without a database all wait.
    """
    done = 0
    for act in Act.objects.filter(done_at=None, refused="").exclude(checker=None):
        try:
            with transaction.atomic():
                if not Act.objects.select_for_update(skip_locked=True).filter(pk=act.pk, done_at=None).exists():
                    continue  # somebody is at it
                # What was done before may have taken minutes: a round that was to come may be out by now.
                carry_out(act, beacon=beacon, at=clock())
            done += 1
        except (NotNow, randomness.BadSignature) as refusal:
            Act.objects.filter(pk=act.pk).update(refused=str(refusal))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            # Its type alone: a text may quote somebody's data.
            log.error("act %s (%s): %s", act.pk, act.name, type(error).__qualname__)
            reason = _("an unexpected error (%(error)s), which those who run the programme must look at")
            Act.objects.filter(pk=act.pk).update(refused=reason % {"error": type(error).__qualname__})
    return done


def reveal(*, beacon: randomness.Beacon, at: datetime) -> int:
    """Draw wherever the announced round has been published: nobody needs to enter it. Return how many draws were made.

    One that fails is logged, and tried again the next time; it stops no other.
    """
    made = 0
    waiting = Draw.objects.filter(drawn_at=None, annulled_at=None).exclude(committed_at=None)
    for one in waiting.select_related("wave"):
        if one.chain != draw.vars_of(beacon.chain) or beacon.chain.at(one.round or 0) > at:
            continue
        try:
            signature = beacon.signature(one.round or 0)
            if signature:
                draw.run(one, signature=signature, at=at)
                made += 1
        except (Unavailable, randomness.BadSignature) as trouble:
            log.warning("round %s: %s", one.round, trouble)
        except NotNow:
            continue  # somebody was quicker
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.error("draw %s of wave %s: %s", one.attempt, one.wave_id, type(error).__qualname__)
    return made
