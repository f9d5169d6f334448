"""The Celery app that the tests' workers and askers share; each test's is in their environment.

``SETTINGS`` is JSON, added to the configuration; ``RECORD`` the Redis that event tasks write to.
"""

from __future__ import annotations

import json
import os
from typing import Any

import redis
from celery import Celery

from telephony.contrib.celery import Telephony, in_order

app = Celery("distributed", broker=os.environ["BROKER"], backend=os.environ["RESULTS"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_redirect_stdouts=False,
    worker_prefetch_multiplier=1,
    telephony_redis_url=os.environ["RECORD"],
    telephony_options={"token_provider": "tests.distributed.tokens.provide", "stale_timeout": 600},
    telephony_events={"*": "distributed.record"},
    telephony_events_queue="events",
)
settings: dict[str, Any] = json.loads(os.environ.get("SETTINGS", "{}"))
app.conf.update(settings)
Telephony(app)

records = redis.Redis.from_url(os.environ["RECORD"], protocol=2, socket_timeout=None)


@app.task(name="distributed.record")
def record(payload: dict[str, Any]) -> None:
    """Keep every event there is, in the order in which they are handled."""
    records.rpush("told", json.dumps(payload))


@app.task(name="distributed.ordered", bind=True, acks_late=True, reject_on_worker_lost=True)
@in_order(patience=5)
def ordered(self: Any, payload: dict[str, Any]) -> None:
    """Keep the events of each call, and who handled them."""
    records.rpush("ordered", json.dumps({**payload, "worker": self.request.hostname}))
