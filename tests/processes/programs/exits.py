"""Programs that end while something is still going on: ``exits NAME [TIMES]``.

Each sets up what it is about, says "ready", waits for the word, and ends. With TIMES it is run
so many times, each in a child forked before anything was begun, which says what became of it;
that spares the start of an interpreter where only the end is of interest.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import Any, Callable

from telephony import CallAnswered, CallRinging, Client, Disconnected, ErrorOccurred
from tests.processes.programs import kept
from tests.processes.programs.account import DIAL, begin, connected, say, until_told


def background(fn: Any, *args: Any, **kwargs: Any) -> None:
    threading.Thread(target=fn, args=args, kwargs=kwargs, daemon=True).start()


def never_closed() -> None:
    client = connected()
    kept.clients.append(client)
    client.dial(**DIAL).wait_bridged(10)
    until_told()


def blocked_callback() -> None:
    client, begun = connected(), threading.Event()

    @client.on(CallAnswered)
    def block(event: CallAnswered) -> None:
        begun.set()
        threading.Event().wait()

    client.dial(**DIAL)
    begun.wait(10)
    until_told()


def every_worker_blocked() -> None:
    client, begun = connected(workers=3), threading.Semaphore(0)

    @client.on(CallAnswered)
    def block(event: CallAnswered) -> None:
        begun.release()
        event.call.wait_ended()

    for uid in range(5):
        client.dial(**{**DIAL, "uid": uid})
    for _ in range(3):
        begun.acquire(timeout=10)
    until_told()


def dialling() -> None:
    client, ringing = connected(), threading.Event()
    client.on(CallRinging, lambda event: ringing.set())
    background(client.dial, **DIAL)
    ringing.wait(10)
    until_told()


def connecting() -> None:
    background(Client.from_env(connect_timeout=600).connect)
    until_told()


def reconnecting() -> None:
    client, lost = connected(), threading.Event()
    client.on(Disconnected, lambda event: lost.set())
    say("connected")
    lost.wait(30)
    until_told()


def error_in_main() -> None:
    client = connected()
    client.dial(**DIAL).wait_bridged(10)
    until_told()
    raise LookupError("of the program's own")


def error_in_blocks() -> None:
    with Client.from_env() as client, client.dial(**DIAL) as call:
        call.wait_bridged(10)
        until_told()
        raise LookupError("of the program's own")


def error_in_callback(error: BaseException = LookupError("of the program's own")) -> None:
    client, reported = connected(), threading.Event()
    client.on(ErrorOccurred, lambda event: reported.set())

    @client.on(CallAnswered, uid="100")
    def fail(event: CallAnswered) -> None:
        raise error

    client.dial(**DIAL)
    reported.wait(10)
    client.dial(**{**DIAL, "uid": "101"}).hangup()  # all goes on
    until_told()


def exit_in_callback() -> None:
    error_in_callback(SystemExit(3))


def closed_at_exit() -> None:
    client = connected()
    client.on(Disconnected, lambda event: None)
    atexit.register(client.close)
    client.dial(**DIAL).wait_bridged(10)
    until_told()


class Closing:
    """Closes its client when it is collected."""

    def __init__(self, client: Client) -> None:
        self.client = client
        client.on(Disconnected, lambda event: None)

    def __del__(self) -> None:
        os.write(1, b"collected\n")
        self.client.close()


def closed_when_collected() -> None:
    client = connected()
    kept.clients.append(Closing(client))
    for _ in range(3):  # threads that hold the locks when they are stopped for good
        background(ask_for_ever, client)
    until_told()


def ask_for_ever(client: Client) -> None:
    while True:
        client.health()
        client.calls()


def sending_at_the_end() -> None:
    client = connected()
    call = client.dial(**DIAL)
    begun = threading.Semaphore(0)

    def send_for_ever() -> None:
        while True:
            call.send_dtmf("1")
            begun.release()

    for _ in range(3):
        background(send_for_ever)
    for _ in range(10):
        begun.acquire(timeout=10)
    until_told()


def forked_child_gone_at_once() -> None:
    _after_a_child(lambda: os._exit(7))


def forked_child_ends_too() -> None:
    _after_a_child(lambda: sys.exit(5))


def _after_a_child(end: Callable[[], object]) -> None:
    client = connected()
    call = client.dial(**DIAL)
    pid = os.fork()
    if pid == 0:
        end()
    say("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    call.send_dtmf("1")
    until_told()


def main(name: str, times: str = "") -> None:
    program = globals()[name]
    if not times:
        program()
        return
    for _ in range(int(times)):
        pid = os.fork()
        if pid == 0:
            say("pid", os.getpid())
            program()
            return
        say("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    begin()
    main(*sys.argv[1:])
