"""gunicorn ``--preload``, with each kind of worker, serving requests that dial."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Iterable, Iterator

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import SECONDS, account
from tests.processes.conftest import Process, clean, commands
from tests.scripted import Running

WORKERS = 2
#: requests at a time
REQUESTS = 6

KINDS = {
    "sync": ["--worker-class", "sync"],
    "gthread": ["--worker-class", "gthread", "--threads", "4"],
    "gevent": ["--worker-class", "gevent"],
}


class Server:
    """gunicorn as a process, with the service in ``programs/web.py``."""

    def __init__(self, program: Process) -> None:
        self.program = program
        self._workers: set[int] = set()
        self._gone: set[int] = set()
        self._port = 0
        self._uids = iter(range(1000, 2000))

    def _listen(self) -> None:
        """Take in the next line that ``gunicorn_conf.py`` says."""
        word, number = self.program.line().split()
        if "port" == word:
            self._port = int(number)
        else:
            {"worker": self._workers, "gone": self._gone}[word].add(int(number))

    def workers_started(self, before: Iterable[int] = ()) -> set[int]:
        """Wait until all workers of a generation serve; their process ids."""
        while len(self._workers.difference(before)) < WORKERS or not self._port:
            self._listen()
        return self._workers.difference(before)

    def wait_gone(self, workers: set[int]) -> None:
        """Wait until these have ended."""
        while workers - self._gone:
            self._listen()

    def dial(self) -> Any:
        """Have a call placed, and hung up."""
        url = f"http://127.0.0.1:{self._port}/dial/{next(self._uids)}"
        request = urllib.request.Request(url, method="POST")
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return json.load(response)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["parent", "worker"])
def connects(request: pytest.FixtureRequest) -> str:
    """Who connects first: the parent, before it forks, or each worker when it needs to."""
    return str(request.param)


@pytest.fixture
def server(cm: Sandbox, tmp_path: Path, kind: str, connects: str) -> Iterator[Server]:
    folder = "tests.processes.programs"
    command = [sys.executable, "-m", "gunicorn", "--config", f"python:{folder}.gunicorn_conf"]
    command += ["--workers", str(WORKERS), *KINDS[kind], f"{folder}.web:app"]
    env = {**account(cm), "CONNECT": connects, "ERROR_LOG": str(tmp_path / "error.log")}
    with Process(command, env) as program:
        yield Server(program)


def test_requests_that_dial(server: Server, cm: Sandbox, connects: str, tmp_path: Path) -> None:
    """Side by side, before and after the workers were replaced, and while the server ends."""
    first = server.workers_started()
    done = [each.result(SECONDS) for each in [Running(server.dial) for _ in range(REQUESTS)]]
    server.program.interrupt(signal.SIGHUP)
    second = server.workers_started(first)
    server.wait_gone(first)
    done += [each.result(SECONDS) for each in [Running(server.dial) for _ in range(REQUESTS)]]
    cm.script_dial(ring=50)
    last = Running(server.dial)
    cm.wait_for_command("outbound", uid=str(1000 + 2 * REQUESTS))
    server.program.interrupt(signal.SIGTERM)
    done.append(last.result(SECONDS))

    code, _ = server.program.finish()
    log = (tmp_path / "error.log").read_text()
    assert 0 == code, log
    assert clean(server.program.stderr), server.program.stderr
    assert "Traceback" not in log + server.program.stderr, log + server.program.stderr
    # Each call was placed once, by a worker, and none is left.
    assert {"hangup"} == {each["state"] for each in done}
    placed = [(call.call_id, call.heard, call.ended_by) for call in cm.calls]
    assert sorted((each["call_id"], "12#", "endcall") for each in done) == sorted(placed)
    # Each worker had one connection, and the parent its own all the time.
    served = {each["pid"] for each in done}
    assert served & first and served & second
    names = Counter(frame["client_id"] for frame in commands(cm, "register"))
    own = {"cli-test": 1} if "parent" == connects else {}
    assert {**own, **{f"cli-test-{pid}": 1 for pid in served}} == names
