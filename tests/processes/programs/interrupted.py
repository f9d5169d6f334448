"""Programs that a signal ends while they wait: ``interrupted NAME``."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from telephony import CallRinging, Client, Connected, Disconnected, TelephonyError
from tests.processes.programs.account import DIAL, begin, connected, say
from tests.processes.programs.locks import locks_of


def ready(*_: object) -> None:
    say("ready")


def dial() -> None:
    client = connected()
    client.on(CallRinging, ready)
    client.dial(**DIAL)


def dial_in_blocks() -> None:
    with Client.from_env() as client:
        client.on(CallRinging, ready)
        with client.dial(**DIAL) as call:
            call.wait_ended()


def wait_ended() -> None:
    call = connected().dial(**DIAL)
    ready()
    call.wait_ended()


def collect_digits() -> None:
    call = connected().dial(**DIAL)
    ready()
    call.collect_digits(max_digits=4)


def in_a_call() -> None:
    with Client.from_env() as client, client.dial(**DIAL) as call:
        ready()
        call.wait_ended()


def connect() -> None:
    ready()
    connected(connect_timeout=600)


def wait_connected() -> None:
    client = Client.from_env()
    ready()
    client.wait_connected()


def run_forever() -> None:
    client = Client.from_env()
    client.on(Connected, ready)
    client.run_forever()
    say("over", client.closed)


def run_forever_connecting() -> None:
    client = Client.from_env(connect_timeout=600)
    ready()
    client.run_forever()
    say("over", client.closed)


def closed_by_a_handler(wait: Any) -> None:
    """The handler of a signal closes the client, whatever the main thread is doing with it."""
    client = connected()
    closed = threading.Event()

    def close(*_: object) -> None:
        client.close()
        closed.set()

    signal.signal(signal.SIGTERM, close)
    try:
        while not closed.is_set():
            wait(client)
    except TelephonyError as error:
        say(type(error).__name__)
    say("over", client.closed)


def handler_in_dial() -> None:
    def dial(client: Client) -> None:
        client.on(CallRinging, ready)
        client.dial(**DIAL)

    closed_by_a_handler(dial)


def handler_under_each_lock() -> None:
    """The signal comes while the main thread is inside the client and holds one of its locks."""
    with connected() as client:
        paths = list(locks_of(client))
    for path in paths:
        client, ended = connected(), threading.Event()
        client.on(Disconnected, lambda event, ended=ended: ended.set())
        signal.signal(signal.SIGTERM, lambda *_, client=client: client.close())
        say("closing")
        with locks_of(client)[path]:
            signal.raise_signal(signal.SIGTERM)
        # What the handler could not do itself is done once it has returned.
        assert ended.wait(10)
        say("closed", path)
    say("over")


if __name__ == "__main__":
    begin()
    globals()[sys.argv[1]]()
