"""Fixtures for all tests; a test that leaves a thread or a socket behind fails."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
import time
from typing import Iterator

import pytest

from telephony import Client
from telephony.protocol import wire
from telephony.sandbox import Sandbox
from tests import canary
from tests.scripted import ScriptedCM

DIAL = {
    "to": "+18005551234",
    "from_": "+15551234567",
    "channel": "room",
    "uid": "100",
    "token": canary.RTC_TOKEN,
    "region": "AREA_CODE_NA",
    "sip": canary.SIP,
}
# A fast clock, which does not hurry those who are to accept a call: they have 20 s of ours.
PATIENT = {"time_scale": 50, "lookup_hold": 1000, "cm_hold": 2000}


# As most users have it, though the tests have the extra `speed` installed: some tests take both.
wire._scan = wire._standard_scan

# A run in the background is handed down a SIGINT that is ignored; tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# And one under nohup a SIGHUP.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

_WATCHED = ("socket:", "anon_inode:", "pipe:")


def _descriptors() -> set[tuple[str, str]]:
    """The sockets, pipes and polls of this process; files may come and go."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(_WATCHED):
            found.add((name, target))
    return found


def pytest_collection_finish() -> None:
    """What is there before the tests is no garbage: looking for theirs need not go through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No thread and no descriptor is left after a test; threads may take a moment to end."""
    threads, descriptors = set(threading.enumerate()), _descriptors()
    yield
    end = time.monotonic() + 5
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, end - time.monotonic()))
    left = [thread.name for thread in set(threading.enumerate()) - threads]
    assert [] == left, "threads left behind"
    for attempt in itertools.count(1):
        if not _descriptors() - descriptors or time.monotonic() > end:
            break
        # What the test left is mostly young; to look at everything costs more than most tests.
        gc.collect(2 if attempt % 8 == 0 else 1)
        time.sleep(0.001)  # under gevent they are closed in the loop's next turn
    assert set() == _descriptors() - descriptors, "descriptors left behind"


@pytest.fixture(autouse=True)
def no_secret_shown() -> Iterator[canary.Watch]:
    """No token, password or trunk URI is in any log line or error; see `tests.canary`."""
    watch = canary.Watch()
    with canary.watched(watch):
        yield watch
    assert [] == watch.shown, "secrets shown"


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of proxies is not to decide what a test sees."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def cm() -> Iterator[Sandbox]:
    """A sandbox with a fast clock, which does not hurry those who are to accept a call."""
    with Sandbox(**PATIENT) as sandbox:
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
