"""What the tests need in a patched process: a hub that is there already, turns, signals, a limit.

Where a test leans on something that only threads do, its tools are adapted here, so that what it
shows of the library is shown on greenlets too.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from typing import Any, Iterator

import gevent
import pytest
from gevent import monkey

from tests.patched import LEFT_OUT
from tests.unit.runtime import transport_peers

#: One phase of one test. A wait that no greenlet can end is seen by the C thread, a bit later.
SECONDS = 60.0


def pytest_configure(config: pytest.Config) -> None:
    assert monkey.is_module_patched("socket"), "run it as python -m tests.patched"
    hub = gevent.get_hub()
    # Their descriptors are made for good when first used: no test is to look as if it did it.
    gevent.sleep(0)
    hub.threadpool.apply(int)

    def kill(_: int, number: int) -> None:
        # The ident of a greenlet is no thread of the system's. The hub sends it, so that it comes
        # while no greenlet runs, as most signals from outside do.
        hub.loop.run_callback(os.kill, os.getpid(), number)

    signal.pthread_kill = kill  # type: ignore[assignment]
    stop = transport_peers.Server.__exit__

    def stop_in_turn(server: Any, *args: object) -> None:
        # A greenlet has not looked yet at what came for it, where a thread mostly has.
        for _ in range(10):
            gevent.idle()
        stop(server, *args)

    transport_peers.Server.__exit__ = stop_in_turn  # type: ignore[method-assign]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [item for item in items if item.nodeid.startswith(tuple(LEFT_OUT))] if LEFT_OUT else []
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def _limited() -> Iterator[None]:
    # A descriptor of its own: pytest takes stderr away, and gives it back too late.
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True, file=sys.__stderr__)
    try:
        with gevent.Timeout(SECONDS, pytest.fail.Exception(f"not over after {SECONDS:g} s")):
            return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    return (yield from _limited())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    return (yield from _limited())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    return (yield from _limited())
