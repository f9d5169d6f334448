"""The same on RabbitMQ, with Redis for results and records."""

from __future__ import annotations

from pathlib import Path

from telephony.sandbox import Sandbox
from tests.distributed.servers import RabbitMQ, Redis
from tests.distributed.stage import Stage
from tests.distributed.story import play


def test_a_worker_is_killed(
    cm: Sandbox, redis: Redis, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    """40 calls from two processes, with two workers of which one is killed."""
    with Stage(cm, redis, tmp_path, broker=rabbitmq.url) as stage:
        play(stage, calls=40, slow=8, workers=2, askers=2)
