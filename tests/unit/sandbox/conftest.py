"""A fast sandbox, phones for it, and a look at what a test leaves behind."""

from __future__ import annotations

import os
import threading
from typing import Any, Callable, Iterator

import pytest

from telephony.sandbox import Sandbox
from tests.unit.sandbox.phone import Phone


def open_sockets() -> set[str]:
    """Return the sockets of this process, where the system tells."""
    found = set()
    try:
        descriptors = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for descriptor in descriptors:
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread or a socket."""
    threads, sockets = set(threading.enumerate()), open_sockets()
    yield
    assert set() == set(threading.enumerate()) - threads
    assert set() == open_sockets() - sockets


@pytest.fixture
def sandbox(nothing_left_behind: None) -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes whose calls run a hundred times as fast."""
    started: list[Sandbox] = []

    def start(**options: Any) -> Sandbox:
        cm = Sandbox(**{"time_scale": 100.0, "lookup_hold": 500.0, "cm_hold": 1000.0, **options})
        started.append(cm)
        return cm.start()

    yield start
    for cm in started:
        cm.stop()


@pytest.fixture
def cm(sandbox: Callable[..., Sandbox]) -> Sandbox:
    return sandbox()


@pytest.fixture
def phone(sandbox: Callable[..., Sandbox]) -> Iterator[Callable[..., Phone]]:
    """Make phones; they are closed before the sandboxes stop."""
    made: list[Phone] = []

    def make(cm: Sandbox, client_id: str = "client-1", **options: Any) -> Phone:
        made.append(Phone(cm, client_id, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
