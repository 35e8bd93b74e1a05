"""Marked people go all the way, through the pages and through real workers; their NIK, KK, phone, e-mail and name show up nowhere."""

import os
import re
import subprocess
import threading

import pytest
import redis
from django.conf import settings as django_settings
from django.test import Client

from foundation import mockworld
from foundation.work import outstanding, sweep
from registrations.models import Registrant
from registrations.stages import Stage
from tests.conftest import database_arguments
from tests.people import make_person
from tests.processes import running, wait_until, worker_arguments
from tests.registrations.test_sign_up import answers, page

CANARIES = range(7001, 7009)


class Monitor:
    """Everything that anybody says to the broker."""

    def __init__(self, url):
        path, _, number = url.removeprefix("redis+socket://").partition("?virtual_host=")
        self.broker = redis.Redis(unix_socket_path=path, db=int(number))
        self.said: list[str] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self):
        with self.broker.monitor() as monitor:
            while not self.stop.is_set():
                self.said.append(str(monitor.next_command()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.broker.ping()  # one last command wakes the listener
        self.thread.join(10)

    def kept(self):
        """All that the broker holds."""
        return [repr(self.broker.dump(key)) for key in self.broker.scan_iter()]


def traces(number):
    """What of a canary must be found nowhere."""
    person = make_person(number)
    return [person.nik, person.kk, person.phone, person.phone[3:], person.email, person.name]


def walk(number, hint):
    """One canary through the pages, as a person does it; returns every URL seen."""
    client, urls = Client(), []

    def follow(response):
        urls.append(response.request["PATH_INFO"] + "?" + response.request.get("QUERY_STRING", ""))
        urls.append(response.get("Location", ""))
        return response

    for step, data in enumerate(answers(number), start=1):
        follow(client.post(page(step), data))
    hint()
    wait_until(lambda: sent_to(make_person(number).email, "email") is not None, seconds=30, what="the mail")
    token = re.search(r"/surel/([^/]+)/", sent_to(make_person(number).email, "email").text)[1]
    follow(client.get(f"/surel/{token}/"))
    follow(client.post(f"/surel/{token}/"))
    follow(client.get("/status/"))
    wait_until(lambda: (hint(), sent_to(make_person(number).phone, "sms"))[1] is not None, seconds=30, what="the SMS")
    code = re.search(r"\d{6}", sent_to(make_person(number).phone, "sms").text)[0]
    follow(client.post("/status/kode/", {"code": code}))
    follow(client.get("/status/"))
    # Wrong turns leave traces, too.
    follow(client.post("/masuk/", {"email": make_person(number).email}))
    follow(client.post("/masuk/sms/", {"phone": make_person(number).phone}))
    follow(client.post("/daftar/2/", {"nik": make_person(number).nik}))
    return urls


def sent_to(address, channel):
    return next((message for message in mockworld.messages(channel) if message.to == address), None)


@pytest.mark.django_db(transaction=True)
def test_canaries_show_up_nowhere(tmp_path, settings, caplog, postgres):
    caplog.set_level("DEBUG")
    settings.HINTS = True
    log = tmp_path / "worker.log"
    arguments = [*worker_arguments("canary")[:-2], "-l", "DEBUG"]
    with Monitor(os.environ["REDIS_URL"]) as monitor, running(*arguments, log=log, HINTS="1", LOG_LEVEL="DEBUG"):
        urls = [url for number in CANARIES for url in walk(number, sweep)]
        wait_until(lambda: outstanding(["email", "identity", "phone", "messages"]) == 0, seconds=30, what="all is done")
        kept = monitor.kept()

    assert Registrant.objects.filter(stage=Stage.PHONE_VERIFIED).count() == len(CANARIES)
    dump = subprocess.run(
        [str(postgres.bin / "pg_dump"), *database_arguments()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    assert "COPY public.registrations_personaldata" in dump
    assert any("work.email" in said for said in monitor.said), "the broker was listened to"
    places = {
        "the workers' logs": log.read_text(),
        "the web's logs": caplog.text,
        "the broker": "\n".join(monitor.said + kept),
        "URLs": "\n".join(urls),
        "the dump": dump,
    }
    for place, content in places.items():
        for number in CANARIES:
            for trace in traces(number):
                assert trace not in content, f"{trace} of canary {number} in {place}"
    assert django_settings.DIGEST_KEY not in "".join(places.values())
