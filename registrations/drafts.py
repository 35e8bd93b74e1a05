"""Sign-ups in progress: kept sealed from the first page on, so that nothing typed is lost, on any device."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from foundation import allowance, outbox
from foundation.email import Mail
from foundation.sealing import seal, unseal
from registrations import letters
from registrations.intake import SignUp, register, send_link
from registrations.models import Draft, EmailOwner
from registrations.ownership import owner_of
from registrations.person import email_digest

_COLUMNS = [field.attname for field in Draft._meta.concrete_fields]

#: A sign-up that has not been touched for so long has been given up.
LIFE = timedelta(days=30)
#: So many sign-ups with one address in a day are somebody playing with it: no further mail is sent there.
SIGN_UPS_PER_ADDRESS_AND_DAY = 5


def start(email: str, answers: Mapping[str, Any]) -> Draft:
    """A new sign-up for this address."""
    draft = begun(email, answers)
    draft.save(force_insert=True)
    return draft


def begun(email: str, answers: Mapping[str, Any]) -> Draft:
    """A new sign-up for this address, not yet in the database."""
    draft = Draft(id=uuid4(), email_digest=email_digest(email))
    draft.sealed = _sealed(draft, {**answers, "email": email})
    return draft


def find(id: UUID) -> Draft | None:
    """The sign-up with this id, unless it has been given up."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM registrations_draft WHERE id = %s AND changed_at > %s",
            [id, timezone.now() - LIFE],
        )
        row = cursor.fetchone()
    return Draft.from_db(connection.alias, _COLUMNS, row) if row else None


def answers(draft: Draft) -> dict[str, Any]:
    """What has been answered so far, as plain JSON values by name."""
    found: dict[str, Any] = orjson.loads(unseal(draft.sealed, _place(draft.id)))
    return found


def keep(draft: Draft, more: Mapping[str, Any]) -> None:
    """Add answers to a sign-up that is not finished."""
    while not draft.finished and not _kept(draft, answers(draft) | dict(more)):
        draft.refresh_from_db()  # another page of it was sent at this very moment


def _kept(draft: Draft, together: Mapping[str, Any]) -> bool:
    """Keep these answers, if the sign-up still is as it was read."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE registrations_draft SET sealed = %s, email_digest = %s, changed_at = %s
            WHERE id = %s AND changed_at = %s AND NOT finished
            """,
            [_sealed(draft, together), email_digest(together["email"]), timezone.now(), draft.pk, draft.changed_at],
        )
        return bool(cursor.rowcount)


def finish(draft: Draft, sign_up: SignUp, *, together: Mapping[str, Any] | None = None) -> None:
    """Send a sign-up in; sent twice, it counts once.

    `together` are all its answers, where not all are kept yet. Whether the address is taken shows nowhere but in the mailbox:
    its owner is told, and nobody is registered.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT
                EXISTS (SELECT FROM registrations_emailowner WHERE digest = draft.email_digest),
                (SELECT count(*) FROM registrations_draft other
                 WHERE other.email_digest = draft.email_digest AND other.finished AND other.changed_at > %s)
            FROM registrations_draft draft WHERE id = %s AND NOT finished FOR UPDATE
            """,
            [(now := timezone.now()) - timedelta(days=1), draft.pk],
        )
        for taken, others in cursor.fetchall():
            registrant_id = None
            if others < SIGN_UPS_PER_ADDRESS_AND_DAY and taken:
                outbox.post(_already_registered(sign_up.person.email, sign_up.person.language))
            elif others < SIGN_UPS_PER_ADDRESS_AND_DAY:
                registrant_id = register([sign_up])[sign_up.reference]
            cursor.execute(
                """
                UPDATE registrations_draft
                SET finished = true, registrant_id = %s, sealed = coalesce(%s, sealed), mailed_at = mailed_at || %s, changed_at = %s
                WHERE id = %s
                """,
                [registrant_id, None if together is None else _sealed(draft, together), now, now, draft.pk],
            )


def _already_registered(email: str, language: str) -> Mail:
    return letters.already_registered(email, language, url=f"{settings.BASE_URL}/masuk/")


def wait_for_mail(draft: Draft) -> int:
    """Seconds until the link may be mailed again; 0: now."""
    return allowance.wait(draft.mailed_at, timezone.now())


def mail_again(draft: Draft) -> int:
    """Mail a finished sign-up's link again, if the limits allow it now; seconds to wait if they do not, else 0."""
    with transaction.atomic():
        current = Draft.objects.select_for_update().get(pk=draft.pk)
        now = timezone.now()
        wait = allowance.wait(current.mailed_at, now)
        if wait or not current.finished:
            return wait
        current.mailed_at = [*allowance.recent(current.mailed_at, now), now]
        current.save(update_fields=["mailed_at"])
        if current.registrant_id:
            send_link(current.registrant_id, at=now)
        elif owner_of(EmailOwner, current.email_digest):
            given = answers(current)
            outbox.post(_already_registered(given["email"], given["language"]))
        return 0


def change_email(draft: Draft, email: str) -> int:
    """Another address for a finished sign-up, if the limits allow a mail now; seconds to wait if they do not, else 0.

    One that has registered nobody can be sent in again.
    """
    with transaction.atomic():
        current = Draft.objects.select_for_update().get(pk=draft.pk)
        now = timezone.now()
        if wait := allowance.wait(current.mailed_at, now):
            return wait
        current.sealed = _sealed(current, answers(current) | {"email": email})
        current.email_digest = email_digest(email)
        current.finished = current.registrant_id is not None
        current.mailed_at = [*allowance.recent(current.mailed_at, now), now]
        current.save(update_fields=["sealed", "email_digest", "finished", "mailed_at"])
        return 0


def forget(now: datetime) -> int:
    """Delete what has been given up; return how many."""
    return Draft.objects.filter(changed_at__lt=now - LIFE).delete()[0]


def _sealed(draft: Draft, answers: Mapping[str, Any]) -> bytes:
    return seal(orjson.dumps(answers), _place(draft.id))


def _place(id: UUID) -> bytes:
    return b"draft:" + id.bytes
