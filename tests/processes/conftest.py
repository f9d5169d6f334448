"""Programs as real processes, each an account holder at a sandbox in the test's own process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Iterator

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import ROOT, SECONDS, Program, account, environment

#: what the interpreter or a library says of a program that did not end well
NOT_OURS = ("Exception ignored", "Fatal Python error", "Exception in thread", "ResourceWarning")


class Process(Program):
    """A program that leads a process group, and has ended with all of it when the block ends."""

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        super().__exit__()


Start = Callable[..., Process]


@pytest.fixture(scope="session")
def grace() -> float:
    """Within so many seconds a program has to end: 3, and what this machine makes of them."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", "import telephony.client"], cwd=ROOT, check=True)
    return 3 + 4 * (time.monotonic() - begun)


@pytest.fixture
def start(cm: Sandbox) -> Iterator[Start]:
    """Run ``tests.processes.programs.NAME`` with arguments; what still runs at the end is killed.

    It has an account at ``cm``, or at *url*.
    """
    with contextlib.ExitStack() as running:

        def run(name: str, *arguments: object, url: str = "", **variables: str) -> Program:
            module = f"tests.processes.programs.{name}"
            command = [sys.executable, "-X", "dev", "-m", module, *map(str, arguments)]
            env = {**account(cm), **({"CM_HOST": url} if url else {}), **variables}
            return running.enter_context(Process(command, environment(**env)))

        yield run


@pytest.fixture
def mute() -> Iterator[tuple[str, socket.socket]]:
    """A server that takes connections and says nothing: its URL, and its socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        yield f"ws://127.0.0.1:{server.getsockname()[1]}", server


def ended(program: Process, grace: float, *, told: int = signal.SIGUSR1) -> tuple[int, list[str]]:
    """Tell a program to end; its exit code and what it still said. It has to end in time."""
    program.interrupt(told)
    assert program.ended(grace), f"it did not end within {grace:.1f} s"
    return program.finish()


def soon(program: Process, grace: float) -> str:
    """The next line, which has to come as soon as the program's end would have to."""
    begun = time.monotonic()
    line = program.line()
    assert time.monotonic() - begun < grace, f"{line!r} took more than {grace:.1f} s"
    return line


def clean(stderr: str) -> bool:
    return not any(words in stderr for words in NOT_OURS)


def commands(cm: Sandbox, action: str) -> list[dict[str, Any]]:
    """The commands with this action that clients have sent."""
    return [frame for frame in cm.frames if action == frame["action"]]
