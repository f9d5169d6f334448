"""Fixtures for all tests; a test that leaves a thread or a socket behind fails."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Iterator

import pytest

from telephony import Client
from telephony.sandbox import Sandbox
from tests.scripted import ScriptedCM

DIAL = {
    "to": "+18005551234",
    "from_": "+15551234567",
    "channel": "room",
    "uid": "100",
    "token": "rtc-token-100",
    "region": "AREA_CODE_NA",
}


def _sockets() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Threads and sockets are back to where they were, at the latest shortly after the test."""
    threads, sockets = set(threading.enumerate()), _sockets()
    yield
    end = time.monotonic() + 5
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, end - time.monotonic()))
    left = [t.name for t in set(threading.enumerate()) - threads]
    assert not left, f"threads left behind: {left}"
    if _sockets() - sockets:
        gc.collect()
    assert not _sockets() - sockets, "sockets left behind"


@pytest.fixture
def cm() -> Iterator[Sandbox]:
    """A sandbox with a fast clock."""
    with Sandbox(time_scale=50) as sandbox:
        yield sandbox


@pytest.fixture
def client(cm: Sandbox) -> Iterator[Client]:
    """A client connected to ``cm``."""
    with cm.client() as connected:
        yield connected


@pytest.fixture
def scripted() -> Iterator[ScriptedCM]:
    """A Call Manager that says what the test tells it to."""
    with ScriptedCM() as server:
        yield server
