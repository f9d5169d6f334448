"""Forks of a busy program, ``forks TIMES``, or of a quiet one without Python's hooks, ``forks``.

It says what each child made of its client, as JSON.

Five threads keep the client busy while its program forks, each time with another of the client's
locks held, so that the child has it for ever.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import threading
import warnings
from typing import Any, Callable

from telephony import CallHangup, CallInfo, Client, DtmfReceived, ForkedClientError, TelephonyError
from tests.processes.programs.account import DIAL, begin, connected, say
from tests.processes.programs.locks import locks_of

JOIN = {"token": "rtc-token-200", "channel": "other", "uid": "200"}

#: every public method but those that need no connection, with arguments that are right
OF_A_CLIENT: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "dial": ((), DIAL),
    "accept": (("call-1",), JOIN),
    "reject": (("call-1",), {}),
    "hangup": (("call-1",), {}),
    "send_dtmf": (("call-1", "1"), {}),
    "bridge": (("call-1",), JOIN),
    "unbridge": (("call-1",), {}),
    "rebridge": (("call-1",), JOIN),
    "transfer": (("call-1", "+1800"), {}),
    "subscribe": ((["+1800"],), {}),
    "command": (("ask",), {}),
    "calls": ((), {}),
    "call": (("call-1",), {}),
    "adopt": ((CallInfo(call_id="call-1"),), {}),
    "health": ((), {}),
    "wait_connected": ((5,), {}),
}
OF_A_CALL: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "accept": ((), JOIN),
    "reject": ((), {}),
    "hangup": ((), {}),
    "send_dtmf": (("1",), {}),
    "bridge": ((), JOIN),
    "unbridge": ((), {}),
    "rebridge": ((), JOIN),
    "transfer": (("+1800",), {}),
    "wait_ended": ((5,), {}),
    "wait_for": (("unbridged", 5), {}),
    "collect_digits": ((), {"timeout": 5}),
}


def not_refused(thing: Any, methods: dict[str, Any]) -> list[str]:
    """The methods that do something else than to raise ``ForkedClientError``."""
    wrong = []
    for name, (args, kwargs) in methods.items():
        try:
            wrong.append(f"{name}: {getattr(thing, name)(*args, **kwargs)!r}")
        except ForkedClientError:
            pass
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
    return wrong


def sockets() -> int:
    """How many this process holds."""
    paths = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.readlink(path).startswith("socket:") for path in paths if os.path.islink(path))


def in_a_child(client: Client, call: Any) -> dict[str, Any]:
    """What a child finds: the parent's client is not its own, and it can have one."""
    inherited = sockets()
    before = str(client.state), client.connected
    wrong = not_refused(client, OF_A_CLIENT) + not_refused(call, OF_A_CALL)
    client.off(client.on(CallHangup, say))
    client.connect()
    own = client.dial(**{**DIAL, "channel": "of a child", "uid": os.getpid()})
    own.hangup()
    after = str(client.state), len(client.calls()), own.state
    client.close()
    return {"inherited": inherited, "wrong": wrong, "before": before, "after": after}


def told_by_a_child(fork: Callable[[], int], fn: Callable[[], Any]) -> Any:
    """Run *fn* in a child, which then is gone at once; what it returned."""
    ear, mouth = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            told = fn()
        except BaseException as error:
            told = {"error": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(BaseException):
            os.write(mouth, json.dumps(told).encode())
        os._exit(0)
    os.close(mouth)
    with open(ear, "rb") as pipe:
        told = json.loads(pipe.read())
    return {**told, "code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}


def without_hooks() -> int:
    """A fork that Python is not told of, as some servers written in C do it."""
    pid: int = ctypes.PyDLL(None).fork()
    return pid


class Busy:
    """Threads that keep a client at work until the block ends; nothing may fail in them."""

    def __init__(self, client: Client, call: Any) -> None:
        self.failed: list[str] = []
        self._over = threading.Event()
        client.on(DtmfReceived, lambda event: client.calls())  # each echo: an event and a callback
        work: list[Callable[[], Any]] = [
            lambda: client.dial(**{**DIAL, "channel": "busy"}).hangup(),
            lambda: call.send_dtmf("1"),
            lambda: call.send_dtmf("22"),
            client.health,
            lambda: client.off(client.on(CallHangup, say, call_id="none")),
        ]
        self._threads = [threading.Thread(target=self._repeat, args=(fn,)) for fn in work]

    def _repeat(self, fn: Callable[[], Any]) -> None:
        try:
            # What does not wait for the CM would else leave nothing of the machine to the children.
            while not self._over.wait(0.001):
                fn()
        except TelephonyError as error:
            self.failed.append(str(error))

    def __enter__(self) -> Busy:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def main(times: int) -> None:
    # From 3.12 on Python warns of forks with threads about: they are what this is about.
    warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
    client = connected()
    call = client.dial(**DIAL)
    call.wait_bridged(10)
    locks = [contextlib.nullcontext(), *locks_of(client).values()]
    with Busy(client, call) as busy:
        for number in range(times):
            with locks[number % len(locks)]:
                told = told_by_a_child(os.fork, lambda: in_a_child(client, call))
            say(json.dumps(told))
    call.send_dtmf("9")
    say(json.dumps({"failed": busy.failed, "reconnects": client.health().reconnects}))
    client.close()


def quiet() -> None:
    """Python must be told of a fork while threads run; so nothing goes on in this one."""
    client = connected()
    call = client.dial(**DIAL)
    call.wait_bridged(10)

    def child() -> dict[str, Any]:
        client.close()  # lets go of the parent's socket, and of nothing else
        return in_a_child(client, call)

    say(json.dumps(told_by_a_child(without_hooks, child)))
    call.send_dtmf("9")
    say(json.dumps({"failed": [], "reconnects": client.health().reconnects}))
    client.close()


if __name__ == "__main__":
    begin()
    main(int(sys.argv[1])) if sys.argv[1:] else quiet()
