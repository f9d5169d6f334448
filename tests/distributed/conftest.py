"""The fixtures: servers, and a stage on which workers and askers play with a sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from telephony.sandbox import Sandbox
from tests.distributed.servers import RabbitMQ, Redis
from tests.distributed.stage import Stage

# The sandbox's clock is fast, but whoever is to accept a call has a minute of ours.
CLOCK = {"time_scale": 50, "lookup_hold": 3000, "cm_hold": 3000}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of the test's own, empty."""
    with Redis(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """One RabbitMQ for all tests: its queues are told apart by their names."""
    with RabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def cm() -> Iterator[Sandbox]:
    """A sandbox with a fast clock."""
    with Sandbox(**CLOCK) as sandbox:
        yield sandbox


@pytest.fixture
def stage(cm: Sandbox, redis: Redis, tmp_path: Path) -> Iterator[Stage]:
    """Workers and askers that share a Redis, for messages too, and a sandbox."""
    with Stage(cm, redis, tmp_path) as made:
        yield made
