"""The Celery application: workers and beat."""

import os
from typing import Any

from celery import Celery, signals

from foundation.batches import share_out
from prakerja import life
from prakerja.ready import refuse_to_start_unready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "prakerja.settings")

app = Celery("prakerja")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["prakerja"], related_name="life")


@signals.celeryd_init.connect
@signals.beat_init.connect
def check_first(**_: object) -> None:
    refuse_to_start_unready()


@signals.celeryd_after_setup.connect
def leave_each_queue_some(instance: Any, **_: object) -> None:
    # The one that its supervisor asks it on takes no time.
    queues = [queue for queue in app.amqp.queues.consume_from if not queue.startswith(life.OWN)]
    share_out(instance.concurrency, queues=len(queues))


@signals.celeryd_init.connect
def wait_for_messages(**_: object) -> None:
    """A worker waits for its next message at the socket, longer than anybody else may wait there."""
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, "socket_timeout": 30}
