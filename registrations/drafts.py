"""Sign-ups in progress: kept sealed from the first page on, so that nothing typed is lost, on any device."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from foundation import allowance, outbox
from foundation.email import Mail
from foundation.sealing import seal, unseal
from registrations import letters
from registrations.intake import SignUp, register, send_link
from registrations.models import Draft, EmailOwner
from registrations.ownership import owner_of
from registrations.person import email_digest

#: A sign-up that has not been touched for so long has been given up.
LIFE = timedelta(days=30)
#: So many sign-ups with one address in a day are somebody playing with it: no further mail is sent there.
SIGN_UPS_PER_ADDRESS_AND_DAY = 5


def start(email: str, answers: Mapping[str, Any]) -> Draft:
    """A new sign-up for this address."""
    draft = Draft(id=uuid4(), email_digest=email_digest(email))
    draft.sealed = seal(_plain({**answers, "email": email}), _place(draft.id))
    draft.save(force_insert=True)
    return draft


def find(id: UUID) -> Draft | None:
    return Draft.objects.filter(pk=id, changed_at__gt=timezone.now() - LIFE).first()


def answers(draft: Draft) -> dict[str, Any]:
    """What has been answered so far, as plain JSON values by name."""
    found: dict[str, Any] = json.loads(unseal(draft.sealed, _place(draft.id)))
    return found


def keep(draft: Draft, more: Mapping[str, Any]) -> None:
    """Add answers to a sign-up that is not finished."""
    with transaction.atomic():
        current = Draft.objects.select_for_update().get(pk=draft.pk)
        if current.finished:
            return
        together = answers(current) | dict(more)
        current.sealed = seal(_plain(together), _place(current.id))
        current.email_digest = email_digest(together["email"])
        current.changed_at = timezone.now()
        current.save(update_fields=["sealed", "email_digest", "changed_at"])


def finish(draft: Draft, sign_up: SignUp) -> None:
    """Send a sign-up in; sent twice, it counts once.

    Whether the address is taken shows nowhere but in the mailbox: its owner is told, and nobody is registered.
    """
    with transaction.atomic():
        current = Draft.objects.select_for_update().get(pk=draft.pk)
        if current.finished:
            return
        now = timezone.now()
        current.finished, current.changed_at = True, now
        current.mailed_at = [*allowance.recent(current.mailed_at, now), now]
        if not _overdone(current, now):
            owner = owner_of(EmailOwner, current.email_digest)
            if owner is None:
                current.registrant_id = register([sign_up])[sign_up.reference]
            else:
                outbox.post(_already_registered(sign_up.person.email, sign_up.person.language))
        current.save(update_fields=["registrant_id", "finished", "mailed_at", "changed_at"])


def _overdone(draft: Draft, now: datetime) -> bool:
    others = Draft.objects.filter(
        email_digest=draft.email_digest, finished=True, changed_at__gt=now - timedelta(days=1)
    ).exclude(pk=draft.pk)
    return others.count() >= SIGN_UPS_PER_ADDRESS_AND_DAY


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
        current.sealed = seal(_plain(answers(current) | {"email": email}), _place(draft.id))
        current.email_digest = email_digest(email)
        current.finished = current.registrant_id is not None
        current.mailed_at = [*allowance.recent(current.mailed_at, now), now]
        current.save(update_fields=["sealed", "email_digest", "finished", "mailed_at"])
        return 0


def forget(now: datetime) -> int:
    """Delete what has been given up; return how many."""
    return Draft.objects.filter(changed_at__lt=now - LIFE).delete()[0]


def _plain(answers: Mapping[str, Any]) -> bytes:
    return json.dumps(answers, ensure_ascii=False, separators=(",", ":")).encode()


def _place(id: UUID) -> bytes:
    return b"draft:" + id.bytes
