"""Forks at awkward moments: ``moments NAME``. Each says what its child made of it, as JSON."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import warnings
from typing import Any

from telephony import CallAnswered, CallRinging, Client, Event
from tests.processes.programs.account import DIAL, begin, connected, say, until_told
from tests.processes.programs.forks import in_a_child, not_refused, told_by_a_child

OWN = {**DIAL, "channel": "of a child"}


def while_connecting() -> None:
    """The CM answers no registration until the child is gone."""
    client = Client.from_env(connect_timeout=60)
    connecting = threading.Thread(target=client.connect)
    connecting.start()
    until_told()

    def child() -> dict[str, Any]:
        before = str(client.state), client.connected
        wrong = not_refused(client, {"dial": ((), DIAL), "wait_connected": ((5,), {})})
        return {"wrong": wrong, "before": before}

    say(json.dumps(told_by_a_child(os.fork, child)))
    connecting.join()
    say(json.dumps({"connected": client.connected}))
    client.dial(**DIAL).hangup()
    client.close()


def while_dialling() -> None:
    """The child hears nothing of a dial that another thread of its parent's waits for."""
    client, ringing = connected(), threading.Event()
    heard: list[Event] = []
    client.on(Event, heard.append)
    client.on(CallRinging, lambda event: ringing.set())
    calls: list[Any] = []
    dialling = threading.Thread(target=lambda: calls.append(client.dial(**DIAL)))
    dialling.start()
    ringing.wait(10)

    def child() -> dict[str, Any]:
        heard.clear()
        client.connect()
        tracked = len(client.calls())
        client.dial(**OWN).hangup()
        client.close(drain=10)
        return {"tracked": tracked, "strange": [e.name for e in heard if foreign(e)]}

    def foreign(event: Event) -> bool:
        info = getattr(event, "info", None)
        return info is not None and OWN["channel"] != info.channel

    say(json.dumps(told_by_a_child(os.fork, child)))
    dialling.join()
    calls[0].hangup()
    client.close()


def in_a_callback() -> None:
    """A child that comes back from the callback it was forked in is no worker of ours."""
    client, forked, gone_on = connected(), threading.Event(), threading.Event()
    children: list[int] = []

    @client.on(CallAnswered)
    def fork(event: CallAnswered) -> None:
        pid = os.fork()
        if pid:
            children.append(pid)
            forked.set()

    @client.on(CallAnswered)
    def after(event: CallAnswered) -> None:
        say("after")
        gone_on.set()

    call = client.dial(**DIAL)
    forked.wait(10)
    say("forked")
    gone_on.wait(10)
    os.waitpid(children[0], 0)
    say("ended")
    call.hangup()
    client.close(drain=10)


def by_many_threads_at_once() -> None:
    """Threads of a child that all connect share one attempt, as they would in the parent."""
    client = connected()
    # As often as can be, so that threads meet between any two steps.
    sys.setswitchinterval(1e-6)

    def child() -> dict[str, Any]:
        start, failed = threading.Barrier(6), []

        def connect() -> None:
            start.wait()
            try:
                client.connect()
                client.dial(**{**OWN, "uid": threading.get_ident()}).hangup()
            except Exception as error:
                failed.append(repr(error))

        threads = [threading.Thread(target=connect) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
        return {"failed": failed}

    for _ in range(10):
        say(json.dumps(told_by_a_child(os.fork, child)))
    client.dial(**DIAL).hangup()
    client.close()


def with_multiprocessing() -> None:
    """Children of a pool and a process, as the standard library forks and ends them."""
    context = multiprocessing.get_context("fork")
    client = connected()
    call = client.dial(**DIAL)
    call.wait_bridged(10)
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(in_a_child(client, call)))
    process.start()
    told = queue.get()
    process.join()
    say(json.dumps({**told, "code": process.exitcode}))
    call.send_dtmf("9")
    say(json.dumps({"failed": [], "reconnects": client.health().reconnects}))
    client.close()


if __name__ == "__main__":
    begin()
    # From 3.12 on Python warns of forks with threads about: they are what this is about.
    warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
    globals()[sys.argv[1]]()
