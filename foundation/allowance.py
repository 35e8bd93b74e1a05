"""How often something may be sent to one person: three times an hour, five times a day, with a growing gap between."""

from collections.abc import Sequence
from datetime import datetime, timedelta

PER_HOUR, PER_DAY = 3, 5
#: Between two, doubled with each one of the last hour.
GAP = timedelta(seconds=30)


def recent(sent: Sequence[datetime], now: datetime) -> list[datetime]:
    """Those of the last 24 hours: all that has to be remembered."""
    return [at for at in sent if at > now - timedelta(days=1)]


def wait(sent: Sequence[datetime], now: datetime) -> int:
    """Seconds until the next one may be sent; 0: now. `sent` is in order of time."""
    last_hour = [at for at in sent if at > now - timedelta(hours=1)]
    last_day = recent(sent, now)
    free = [now]
    if last_hour:
        free.append(last_hour[-1] + GAP * 2 ** (len(last_hour) - 1))
    if len(last_hour) >= PER_HOUR:
        free.append(last_hour[-PER_HOUR] + timedelta(hours=1))
    if len(last_day) >= PER_DAY:
        free.append(last_day[-PER_DAY] + timedelta(days=1))
    return -(-(max(free) - now) // timedelta(seconds=1))
