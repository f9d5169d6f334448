"""What the programs have in common: an account in the environment, a call, being told to end."""

from __future__ import annotations

import os
import signal
from typing import Any

from telephony import Client

DIAL: dict[str, Any] = {
    "to": "+18005551234",
    "from_": "+15551234567",
    "channel": "room",
    "uid": "100",
    "token": "rtc-token-100",
    "region": "AREA_CODE_NA",
}


def begin() -> None:
    """What a program does first, before there is any thread; not when a test imports it."""
    os.setpgid(0, 0)  # for the tests to end it with all its children, if they must
    # Whoever runs the tests in the background hands down a SIGINT that is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # For `until_told` to be the only one that takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


def connected(**options: Any) -> Client:
    """A client for the account in the environment, connected."""
    client = Client.from_env(**options)
    client.connect()
    return client


def say(*words: object) -> None:
    line = " ".join(map(str, words)) + "\n"
    os.write(1, line.encode())  # at once: a forked child says its own on the same pipe


def until_told() -> None:
    """Say that all is set up, and wait for the word to go on: SIGUSR1."""
    say("ready")
    signal.sigwait({signal.SIGUSR1})
