"""A fast sandbox, and phones for it."""

from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from telephony.sandbox import Sandbox
from tests.unit.sandbox.phone import Phone


@pytest.fixture
def sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes whose calls run a hundred times as fast."""
    started: list[Sandbox] = []

    def start(**options: Any) -> Sandbox:
        cm = Sandbox(**{"time_scale": 100.0, "lookup_hold": 2000.0, "cm_hold": 4000.0, **options})
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
