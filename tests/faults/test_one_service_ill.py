"""Dukcapil hangs, or wants us to wait: the steps that ask others go on, though they share a worker of two processes."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pytest

from foundation.hints import drain
from foundation.work import enqueue, sweep
from prakerja.celery import app
from prakerja.mockservices import Server, serving
from registrations.models import Registrant
from registrations.stages import Stage
from tests.people import make_registrants
from tests.processes import running, wait_until, worker_arguments
from tests.proxy import Proxy, proxied
from verification import links, phone

PEOPLE = 12
#: Of those who wait for Dukcapil; all processes would have some of them in hand.
BATCH = 3


class Trouble(NamedTuple):
    """How Dukcapil falls ill, how often it is asked all the same, and how it gets well; it is reached through a proxy."""

    begin: Callable[[Server, Proxy], object]
    asked: Callable[[Server, Proxy], int]
    end: Callable[[Server, Proxy], object]


def get_well(_: Server, registry: Proxy) -> None:
    registry.heal()
    registry.cut()


HANGS = Trouble(
    begin=lambda _, registry: registry.half_open(new_ones=True), asked=lambda _, registry: len(registry.links), end=get_well
)
ANSWERS_429 = Trouble(
    begin=lambda server, _: server.control.put({"dukcapil": {"too_many_percent": 100}}),
    asked=lambda server, _: server.summary()["services"]["dukcapil"]["calls_by_status"].get("429", 0),
    end=lambda server, _: server.control.put({"dukcapil": None}),
)


@pytest.fixture
def server(settings) -> Iterator[Server]:
    settings.HINTS = True
    with serving() as server:
        yield server


@pytest.mark.parametrize("trouble", [HANGS, ANSWERS_429], ids=["hangs", "answers 429"])
@pytest.mark.django_db(transaction=True)
def test_while_dukcapil_is_ill_people_climb_by_mail_and_by_sms(tmp_path, server, trouble):
    environment = {"DJANGO_SETTINGS_MODULE": "tests.faults.patient_settings", "BATCH_SIZE": str(BATCH), "HINTS": "1"}
    environment |= {"EMAIL_URL": server.url, "SMS_URL": server.url}
    stuck = make_registrants(PEOPLE, stage=Stage.EMAIL_VERIFIED)
    enqueue("identity", stuck)
    with (
        proxied(server.server_address[:2]) as registry,
        running(
            *worker_arguments("only"), log=tmp_path / "log", DUKCAPIL_URL=f"http://127.0.0.1:{registry.port}", **environment
        ),
    ):
        trouble.begin(server, registry)
        wait_until(lambda: trouble.asked(server, registry) > 0, seconds=60, what="one process asks Dukcapil")
        sweep()
        drain()
        wait_until(lambda: messages_in("identity") == 0, seconds=30, what="the other one has heard of it, too")
        new = make_registrants(PEOPLE, first=100)
        texted = make_registrants(PEOPLE, stage=Stage.IDENTITY_VERIFIED, first=200)
        enqueue("phone", texted)

        def others_climb() -> bool:
            sweep()
            open_mails_and_type_codes(server)
            return on(new, Stage.EMAIL_VERIFIED) == on(texted, Stage.PHONE_VERIFIED) == PEOPLE

        wait_until(others_climb, seconds=30, what="the others climb")
        assert on(stuck, Stage.EMAIL_VERIFIED) == PEOPLE, "it is still ill"
        trouble.end(server, registry)

        def all_climb() -> bool:
            sweep()
            open_mails_and_type_codes(server)
            return on([*stuck, *new, *texted], Stage.PHONE_VERIFIED) == 3 * PEOPLE

        wait_until(all_climb, seconds=60, what="it is well, and everybody climbs")


def messages_in(queue: str) -> int:
    with app.connection_for_write() as link, link.channel() as channel:
        return int(channel.client.llen(queue))  # type: ignore[attr-defined]


def open_mails_and_type_codes(server: Server) -> None:
    """What people do with all that they have been sent."""
    mails, texts = (server.services.since(channel, 0)["messages"] for channel in ("email", "sms"))
    links.open_links([links.Opened(found) for mail in mails for found in re.findall(r"/surel/([^/\s]+)/", mail["text"])])
    codes = {int(text["reference"].partition(".")[0]): re.findall(r"\b\d{6}\b", text["text"])[0] for text in texts}
    waiting = Registrant.objects.filter(pk__in=codes, stage=Stage.IDENTITY_VERIFIED).values_list("pk", flat=True)
    phone.type_codes([phone.Typed(id, codes[id]) for id in waiting])


def on(ids: Sequence[int], stage: Stage) -> int:
    return Registrant.objects.filter(pk__in=ids, stage=stage).count()
