"""The seats of a draw after its decree: how many were revoked or removed, given to reserves or to a later wave, and are free."""

from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from registrations.models import Wave
from registrations.stages import DropOff
from waves import state
from waves.models import Change, Draw, Plan, SeatMove
from waves.screening import NotNow


class Seats(NamedTuple):
    """Of one draw."""

    quota: int
    #: Recipients named by its decrees, of whom some may have ended.
    named: int
    revoked: int
    removed: int
    #: Given to later waves.
    moved: int
    #: Revoked, and not in a decree of revocation yet: their seats are not free.
    undecreed: int
    #: What is set aside for each recipient, in rupiah.
    package: int

    @property
    def living(self) -> int:
        """Recipients now."""
        return self.named - self.revoked - self.removed

    @property
    def free(self) -> int:
        """To be given to reserves, or to a later wave."""
        return self.quota - self.living - self.undecreed - self.moved

    @property
    def returned(self) -> int:
        """What goes back to the treasury for those revoked, in rupiah."""
        return self.revoked * self.package


def of(draw: Draw) -> Seats:
    plan = Plan.objects.select_related("rule_set").get(wave=draw.wave_id)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*), count(*) FILTER (WHERE ended_because = {DropOff.REVOKED}),
                   count(*) FILTER (WHERE ended_because = {DropOff.REMOVED}),
                   (SELECT coalesce(sum(seats), 0) FROM waves_seatmove WHERE draw_id = %(draw)s),
                   count(*) FILTER (WHERE ended_at IS NOT NULL AND ended_by IS NULL)
            FROM waves_recipient WHERE decree_id = ANY (SELECT id FROM waves_decree WHERE draw_id = %(draw)s)
            """,
            {"draw": draw.pk},
        )
        named, revoked, removed, moved, undecreed = map(int, cursor.fetchone())
    return Seats(draw.quota, named, revoked, removed, moved, undecreed, plan.rule_set.package)


def decided(wave: Wave) -> Draw:
    """The wave's draw, locked, whose result has been announced. Raises `NotNow`."""
    draw = Draw.objects.select_for_update().filter(wave=wave, annulled_at=None).first()
    if draw is None or not draw.announced_at:
        raise NotNow(_("The result of wave %(wave)s has not been announced.") % {"wave": wave.number})
    return draw


def being_drawn(besides: Draw) -> QuerySet[Draw]:
    """Other draws whose result has not been announced. No list is frozen before the caller's transaction ends."""
    # A freeze has its wave's row: one that is under way ends first, and is seen then.
    list(Wave.objects.select_for_update(no_key=True).order_by("number"))
    return Draw.objects.filter(annulled_at=None, announced_at=None).exclude(pk=besides.pk).defer("subtrees")


def move(wave: Wave, to: int, seats: int, *, by: User, reason: str, at: datetime) -> SeatMove:
    """Give free seats of a wave to a later one whose list is not frozen; its quota grows by them. Raises `NotNow`."""
    with transaction.atomic():
        draw = decided(wave)
        if not reason.strip():
            raise NotNow(_("A change has a reason, which is kept."))
        later = Wave.objects.select_for_update().filter(pk=to, number__gt=wave.number).first()
        if later is None:
            raise NotNow(_("There is no wave %(to)s after wave %(wave)s.") % {"to": to, "wave": wave.number})
        if later.draws.filter(annulled_at=None).exists():
            raise NotNow(_("The list of wave %(wave)s is frozen.") % {"wave": later.number})
        if state.has_ended_undrawn(later):
            raise NotNow(_("The result has been announced."))
        free = of(draw).free
        if not 0 < seats <= free:
            raise NotNow(_("Wave %(wave)s has %(free)s free seats.") % {"wave": wave.number, "free": free})
        before = later.quota or 0
        Wave.objects.filter(pk=later.pk).update(quota=before + seats)
        Change.objects.create(
            wave=later, field="quota", before=str(before), after=str(before + seats), reason=reason.strip(), by=by, at=at
        )
        return SeatMove.objects.create(draw=draw, to=later, seats=seats, reason=reason.strip(), at=at)
