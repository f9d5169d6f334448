"""Celery workers and askers as processes, which share a sandbox, a Redis and a broker."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterable

from telephony.sandbox import Sandbox
from telephony.sandbox.calls import CallRecord
from tests.cli.programs import account
from tests.distributed.servers import SECONDS, Redis
from tests.processes.conftest import Process
from tests.scripted import Running

#: short, for an heir to be there soon; long enough for a machine that is busy
LEASE = 3.0


class Worker(Process):
    """A Celery worker: ``name``, the client id of the line it opened (``""``: none), its log."""

    name = ""
    line = ""
    log = Path()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; SIGKILL is waited for."""
        os.kill(self.pid, number)
        if number == signal.SIGKILL:
            assert self.ended(SECONDS)


class Asker(Process):
    """A process that does jobs; see `tests.distributed.asker`."""

    name = ""
    redis: Redis

    _numbers = itertools.count(1)

    def ask(self, what: str, *arguments: Any) -> Callable[[], Any]:
        """Have it do a job; returns a function that waits for the job's result."""
        number = f"{self.name}:{next(self._numbers)}"
        self.redis.connection.rpush(f"jobs:{self.name}", json.dumps([number, what, arguments]))

        def result() -> Any:
            end = time.monotonic() + 2 * SECONDS
            while (item := self.redis.connection.blpop([f"done:{number}"], 1)) is None:
                assert not self.ended(0), self.finish() and self.stderr
                assert time.monotonic() < end, f"{self.name} has not done {what}"
            return json.loads(item[1])

        return result

    def run(self, *tasks: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Run telephony tasks, all at once; the outcome of each, a dict."""
        outcomes: list[dict[str, Any]] = self.ask("run", tasks)()
        return outcomes

    def one(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Run one of them."""
        return self.run((name, arguments))[0]


class Stage:
    """What a test plays on; whatever still runs at its end is killed."""

    def __init__(self, cm: Sandbox, redis: Redis, folder: Path, broker: str = "") -> None:
        self.cm = cm
        self.redis = redis
        self.folder = folder
        self.broker = broker or redis.url
        self.settings: dict[str, Any] = {"telephony_lease": LEASE}
        self._programs = contextlib.ExitStack()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self._programs.close()

    def environ(self) -> dict[str, str]:
        """What its processes find in their environment."""
        environ = account(
            self.cm,
            BROKER=self.broker,
            RESULTS=self.redis.url,
            RECORD=self.redis.url,
            SETTINGS=json.dumps(self.settings),
            PYTHONUNBUFFERED="1",
        )
        del environ["CLIENT_ID"], environ["RTC_TOKEN"]
        return environ

    def launch(
        self, name: str, queue: str = "telephony", pool: str = "threads", concurrency: int = 60
    ) -> Worker:
        """Start a worker, and wait for nothing."""
        log = self.folder / f"{name}.log"
        command = [
            sys.executable, "-m", "celery", "-A", "tests.distributed.app", "worker",
            "-Q", queue, "-P", pool, "-c", str(concurrency), "-n", f"{name}@test",
            "-l", "debug", "--without-gossip", "--without-mingle", "--logfile", str(log),
        ]  # fmt: skip
        # What it says beside its log goes there, too.
        command = ["bash", "-c", 'exec "$@" 1>>"$0" 2>&1', str(log), *command]
        worker = self._programs.enter_context(Worker(command, self.environ()))
        worker.name, worker.log = name, log
        return worker

    def ready(self, worker: Worker) -> None:
        """Wait until a worker takes tasks."""
        ready = f"{worker.name}@test ready"
        wait_for(lambda: ready in worker.said() or worker.ended(0), worker.said)
        assert ready in worker.said(), worker.said()

    def workers(self, *names: str, **options: Any) -> list[Worker]:
        """Start workers with a line each, one after the other to know which line is whose."""
        started = []
        for name in names:
            known = len(self.lines())
            worker = self.launch(name, **options)
            wait_for(lambda: len(self.lines()) > known or worker.ended(0), worker.said)
            assert len(self.lines()) > known, worker.said()
            worker.line = self.cm.wait_for_command("register", SECONDS)["client_id"]
            started.append(worker)
        for worker in started:
            self.ready(worker)
        return started

    def events(
        self, *names: str, queue: str = "events", concurrency: int = 1
    ) -> list[Worker]:
        """Start workers for the event tasks; they open no line."""
        started = [
            self.launch(name, queue=queue, concurrency=concurrency) for name in names or ["events"]
        ]
        for worker in started:
            self.ready(worker)
        return started

    def askers(self, *names: str) -> list[Asker]:
        """Start processes that ask."""
        started = []
        for name in names:
            command = [sys.executable, "-m", "tests.distributed.asker", name]
            asker = self._programs.enter_context(Asker(command, self.environ()))
            asker.name, asker.redis = name, self.redis
            started.append(asker)
        for _ in started:
            self.redis.take("ready")
        return started

    def lines(self) -> list[str]:
        """The client ids that have registered, in order, each as often as it did."""
        return [frame["client_id"] for frame in self.cm.frames if "register" == frame["action"]]

    # What there is at the sandbox --------------------------------------------------------

    def up(self) -> list[CallRecord]:
        """The outbound calls that were answered and are not over."""
        states = ("answered", "bridged", "unbridged")
        return [call for call in self.cm.calls if call.state in states]

    def dialled(self) -> list[str]:
        """The numbers that were dialled, in order, each as often as it was."""
        return [frame["to"] for frame in self.cm.frames if "outbound" == frame["action"]]

    def recorded(self, key: str = "told") -> list[dict[str, Any]]:
        """What the event tasks have recorded so far."""
        items: Any = self.redis.connection.lrange(key, 0, -1)
        return [json.loads(item) for item in items]


def dial(to: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """The task that dials a number; its channel and uid are the number's digits."""
    digits = re.sub(r"\D", "", to)
    defaults = {"from_": "+15551234567", "channel": f"room-{digits}", "uid": digits}
    return "dial", {"to": to, **defaults, "region": "AREA_CODE_NA", **arguments}


def numbers(count: int, area: int = 800) -> list[str]:
    """So many numbers, all different."""
    return [f"+1{area}555{number:04}" for number in range(count)]


def wait_for(
    true: Callable[[], Any], why: Callable[[], Any] = lambda: "it did not come true"
) -> Any:
    """Wait until something is true that nobody tells us of; returns it."""
    end = time.monotonic() + SECONDS
    while not (found := true()):
        assert time.monotonic() < end, why()
        time.sleep(0.02)
    return found


def side_by_side(jobs: Iterable[Callable[[], Any]]) -> list[Any]:
    """Run functions on threads of their own; what each returned."""
    running = [Running(job) for job in jobs]
    return [each.result(3 * SECONDS) for each in running]


def placed(asker: Asker, to: str = "+18005550199", **arguments: Any) -> str:
    """Have a number dialled, which answers; the call's id."""
    [outcome] = asker.run(dial(to, **arguments))
    assert "result" in outcome, outcome
    return str(outcome["result"]["call_id"])


def recorded(stage: Stage, event: str, call_id: str, key: str = "told") -> dict[str, Any]:
    """Wait for an event of a call to be recorded."""

    def first() -> dict[str, Any] | None:
        fits = (
            one
            for one in stage.recorded(key)
            if (event, call_id) == (one["event"], one["call_id"])
        )
        return next(fits, None)

    found: dict[str, Any] = wait_for(
        first, lambda: [(one["event"], one["call_id"]) for one in stage.recorded(key)]
    )
    return found
