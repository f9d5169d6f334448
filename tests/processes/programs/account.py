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

# For the tests to end it with all its children, if they must.
os.setpgid(0, 0)
# Whoever runs the tests in the background hands down a SIGINT that is ignored. And SIGUSR1 must be
# blocked before there is any thread, for `until_told` to be the only one that takes it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


def connected(**options: Any) -> Client:
    """A client for the account in the environment, connected."""
    client = Client.from_env(**options)
    client.connect()
    return client


def say(*words: object) -> None:
    print(*words, flush=True)


def until_told() -> None:
    """Say that all is set up, and wait for the word to go on: SIGUSR1."""
    say("ready")
    signal.sigwait({signal.SIGUSR1})
