"""Programs run by tests: what they print as they print it, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from telephony.sandbox import Sandbox

#: for what takes a moment on an idle machine
SECONDS = 30.0

ROOT = Path(__file__).parents[2]
TELEPHONY = (sys.executable, "-m", "telephony")

#: the variables that the programs read
OURS = (
    "CM_HOST AUTH_TOKEN APPID CLIENT_ID TO_NUMBER FROM_NUMBER DID REGION SIP CHANNEL RTC_TOKEN"
).split()


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what the programs read, and with *variables*.

    Its terminals can do nothing but print: see `tests.cli.terminal` for those that can more.
    """
    left = {
        name: value
        for name, value in os.environ.items()
        if name not in (*OURS, "PYTHONUNBUFFERED") and not name.lower().endswith("_proxy")
    }
    return {**left, "TERM": "dumb", **variables}


def account(cm: Sandbox, **variables: str) -> dict[str, str]:
    """The environment of somebody with an account at the sandbox."""
    return environment(
        CM_HOST=cm.url,
        AUTH_TOKEN=cm.auth_token,
        APPID=cm.app_id,
        CLIENT_ID="cli-test",
        TO_NUMBER="+18005551234",
        FROM_NUMBER="+15551234567",
        REGION="AREA_CODE_NA",
        RTC_TOKEN="rtc-token-1",
        **variables,
    )


class Program:
    """A program that runs until it ends, or until the ``with`` block does."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        terminal: bool = False,
        cwd: Path = ROOT,
    ) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.stderr = ""
        self._master: int | None = None
        slave: int | None = None
        if terminal:
            self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if slave is None else slave,
            stderr=subprocess.PIPE,
        )
        if slave is not None:
            os.close(slave)
        self._threads = [
            threading.Thread(target=self._read_stdout),
            threading.Thread(target=self._read_stderr),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read_stdout(self) -> None:
        descriptor = self._master
        if descriptor is None:
            assert self._process.stdout is not None
            descriptor = self._process.stdout.fileno()
        left = b""
        while True:
            try:
                data = os.read(descriptor, 65536)
            except OSError:  # a terminal's way of saying that nobody holds it any more
                data = b""
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                self._lines.put(line.decode().rstrip("\r"))
            if not data:
                break
        if left:
            self._lines.put(left.decode())
        self._lines.put(None)

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        self.stderr = self._process.stderr.read().decode()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(SECONDS)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        if self._master is not None:
            os.close(self._master)

    def line(self, wanted: Callable[[str], bool] = lambda _: True) -> str:
        """Wait for the next line, or for the next that is *wanted*."""
        end = time.monotonic() + SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError("the line did not come in time") from None
            assert line is not None, f"it ended before the line came: {self._ended()}"
            if wanted(line):
                return line

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Wait for the next JSON line with this event and these fields."""
        wanted = {"event": name, **fields}

        def fits(line: str) -> bool:
            found = json.loads(line)
            return all(found.get(key) == value for key, value in wanted.items())

        return dict(json.loads(self.line(fits)))

    def _ended(self) -> tuple[int, str]:
        code = self._process.wait(SECONDS)
        self._threads[1].join(SECONDS)
        return code, self.stderr

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Ctrl-C, or another signal."""
        self._process.send_signal(number)

    def ended(self, within: float) -> bool:
        """Wait so many seconds for its end; whether it came."""
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def finish(self) -> tuple[int, list[str]]:
        """Wait until it has ended; its exit code, and the lines that were not asked for."""
        code, _ = self._ended()
        self._threads[0].join(SECONDS)
        lines = []
        while True:
            line = self._lines.get(timeout=SECONDS)
            if line is None:
                return code, lines
            lines.append(line)


def run(
    command: Sequence[str], env: Mapping[str, str], *, terminal: bool = False, cwd: Path = ROOT
) -> tuple[int, list[str], str]:
    """Run a program to its end; its exit code, its lines, and its standard error."""
    with Program(command, env, terminal=terminal, cwd=cwd) as program:
        code, lines = program.finish()
        return code, lines, program.stderr
