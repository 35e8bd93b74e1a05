"""A worker that tells many their result is killed: nobody is forgotten, and who is told again is told by the same reference."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from foundation import email, sms
from foundation.models import Work
from registrations.models import Registrant
from tests.clock import fall_due
from tests.faults.slow import Noting
from tests.faults.test_steps_killed import nobody_else_is_at_it, nobody_writes, somebody_waits_for
from tests.processes import kill, running, wait_until
from tests.waves.cast import make_announced
from waves import notices
from waves.models import Notice, Recipient

PEOPLE, SELECTED = 60, 20
#: What sends, by which service, and what this one answers when it has taken a message.
CHANNELS = {
    "mails": (notices.send_emails, "email", email.Delivery.SENT, "mailed"),
    "SMS": (notices.send_texts, "sms", sms.Delivery.ACCEPTED, "texted"),
}


def asked(log: Path) -> Counter[str]:
    """How often it was asked to send what, by reference."""
    return Counter(log.read_text().split()) if log.exists() else Counter()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("last", [7, None], ids=["in the middle", "when all are told and none is noted"])
@pytest.mark.parametrize("channel", CHANNELS)
def test_when_it_is_killed_nobody_is_forgotten_and_nobody_told_twice_by_another_reference(tmp_path, channel, last):
    send, service, answer, told = CHANNELS[channel]
    make_announced(PEOPLE, quota=SELECTED)
    log = tmp_path / "asked"
    code = (
        "import django; django.setup(); from pathlib import Path; from waves import notices; from tests.faults.slow import Noting;"
        f"from foundation.{service} import Delivery;"
        f"notices.{send.__name__}({service}=Noting(Path({str(log)!r}), {answer}, last={last}), size=1000)"
    )
    with nobody_writes("waves_notice"), running("-c", code, log=tmp_path / "log") as process:
        wait_until(
            lambda: sum(asked(log).values()) == last if last else somebody_waits_for("waves_notice"),
            seconds=60,
            what="it has come that far",
        )
        kill(process)
        assert process.returncode == -signal.SIGKILL
    wait_until(nobody_else_is_at_it, seconds=30, what="PostgreSQL has noticed")
    first = asked(log)
    assert not any(Notice.objects.values_list(told, flat=True)), "it has noted nothing"

    fall_due()  # its lease is over
    while send(**{service: Noting(log, answer)}, size=1000):
        pass

    people = set((Registrant if service == "email" else Recipient).objects.values_list("pk", flat=True))
    references = asked(log)
    assert sorted(int(reference.rpartition(".")[2]) for reference in references) == sorted(people)
    assert {reference for reference, times in references.items() if times == 2} == set(first) != set()
    assert set(references.values()) <= {1, 2}
    selected, others = (Notice.objects.get(kind=kind) for kind in ("selected", "not_selected"))
    assert getattr(selected, told) == SELECTED
    assert getattr(others, told) == (PEOPLE - SELECTED if service == "email" else 0)
    assert not Work.objects.filter(queue=f"notice_{service}").exists()
