"""Phone calls from Celery; needs ``pip install "agora-telephony[celery]"``.

A worker that consumes the queue ``telephony`` holds a connection; any process that can reach the
broker places and controls calls with tasks, and reads them back from Redis::

    from celery import Celery
    from telephony.contrib.celery import SharedCalls, Telephony, dial, hangup

    app = Celery("shop", broker="redis://…", backend="redis://…")
    app.conf.update(telephony_events={"call_hangup": "shop.ended"})
    Telephony(app)

    call_id = dial.delay(to=…, from_=…, channel=…, uid=…, region=…).get(timeout=100)["call_id"]
    hangup.delay(call_id)
    SharedCalls(app).wait_ended(call_id, timeout=60)

and ``celery -A app worker -Q telephony -P threads -c 50``.
"""

from __future__ import annotations

try:
    import celery  # noqa: F401
    import redis  # noqa: F401
except ImportError as missing:
    raise ImportError(
        "telephony.contrib.celery needs celery and redis: "
        'pip install "agora-telephony[celery]"'
    ) from missing

from telephony.contrib.celery.ordering import in_order
from telephony.contrib.celery.shared import SharedCall, SharedCalls
from telephony.contrib.celery.snapshot import parse
from telephony.contrib.celery.tasks import (
    accept,
    bridge,
    dial,
    hangup,
    rebridge,
    reject,
    send_dtmf,
    transfer,
    unbridge,
)
from telephony.contrib.celery.worker import Telephony

__all__ = [
    "SharedCall",
    "SharedCalls",
    "Telephony",
    "accept",
    "bridge",
    "dial",
    "hangup",
    "in_order",
    "parse",
    "rebridge",
    "reject",
    "send_dtmf",
    "transfer",
    "unbridge",
]
