"""How the drivers run a block: on a thread, as a program, or in a shell."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import telephony
from telephony import Client
from telephony.sandbox import Sandbox
from tests.cli.programs import Program
from tests.docs.rst import Block, blocks
from tests.scripted import Running

SECONDS = 30.0
#: the commands that are installed with the packages
COMMANDS = Path(sys.executable).parent

Output = Callable[[], str]


class Played:
    """A Python block that runs on a thread of its own; its names are ``[]``'s."""

    def __init__(self, block: Block) -> None:
        # The blank lines make line numbers those of the whole file.
        source = "\n" * max(0, block.line - 1) + block.text
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self._running = Running(exec, compile(source, str(block.page), "exec"), self.names)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def finish(self) -> None:
        """Wait until it is through; raises what it raises."""
        self._running.result(30)

    def client(self, cm: Sandbox) -> Client:
        """Its client, once it is connected."""
        cm.wait_for_command("register")
        client: Client = self["client"]
        assert client.wait_connected(SECONDS)
        return client

    def close(self) -> None:
        """End a block that runs for ever."""
        self["client"].close(drain=SECONDS)
        self.finish()


class Served(Program):
    """A program that has been asked to end, and has, when the test does."""

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.interrupt(signal.SIGTERM)
        self.ended(SECONDS)
        super().__exit__()


class Play:
    """What a driver needs; ended with the test.

    ``start(**settings)`` starts a sandbox and sets the environment to it, as a user would;
    ``folder`` is an empty one of the test's own; ``log`` is pytest's ``caplog``.
    """

    def __init__(
        self,
        start: Callable[..., Sandbox],
        folder: Path,
        log: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.start = start
        self.folder = folder
        self.log = log
        self.monkeypatch = monkeypatch
        self._begun: list[Played] = []
        self._programs = contextlib.ExitStack()

    def run(self, block: Block) -> Played:
        """Run a Python block as it is written, on a thread."""
        self._begun.append(Played(block))
        return self._begun[-1]

    def redirected(self, block: Block, cm: Sandbox) -> Played:
        """Run a block that holds the production URL, with only that leading to *cm*.

        Its credentials are an ellipsis, which no Call Manager takes: they go with it.
        """

        class Redirected(Client):
            """``Client`` with the address changed, and nothing else."""

            def __init__(self, url: str, auth_token: str, *rest: Any, **options: Any) -> None:
                assert url.startswith("wss://sipcm.agora.io")
                assert "Basic …" == auth_token
                super().__init__(cm.url, cm.auth_token, *rest, **options)

        self.monkeypatch.setattr(telephony, "Client", Redirected)
        return self.run(block)

    def other(self, block: Block, name: str) -> Block:
        """Another block of the same page."""
        return next(each for each in blocks(block.page) if each.name == name)

    def write(self, *written: Block) -> None:
        """Write blocks into the folder, each under the file name that is its caption."""
        for block in written:
            assert block.caption, f"{block.name} has no caption to be its file's name"
            path = self.folder / block.caption
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text + "\n", "utf-8")

    def environ(self, **variables: str) -> dict[str, str]:
        """The environment, with the commands of the packages found first."""
        path = f"{COMMANDS}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "PATH": path, **variables}

    def program(self, *command: str, **variables: str) -> Served:
        """Run a program in the folder; it is asked to end when the test does."""
        program = Served(command, self.environ(**variables), cwd=self.folder)
        self._programs.enter_context(program)
        return program

    def python(self, *arguments: str, **variables: str) -> Served:
        """The same for ``python FILE …``."""
        return self.program(sys.executable, *arguments, **variables)

    def shell(self, text: str, **variables: str) -> tuple[int, list[str], str]:
        """Run a shell's text in the folder to its end: exit code, lines, standard error."""
        with Program(
            ["bash", "-e", "-c", text], self.environ(**variables), cwd=self.folder
        ) as program:
            code, lines = program.finish()
            return code, lines, program.stderr

    def close(self) -> None:
        """End what still runs: where a test failed, a client may."""
        for played in self._begun:
            client = played.names.get("client")
            if isinstance(client, Client):
                client.close()
        self._programs.close()


def passes_as_a_test_suite(folder: Path, passed: int, *arguments: str) -> None:
    """So many tests in *folder* pass, in a pytest of their own with the installed plugin."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *arguments,
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert f"{passed} passed" in ran.stdout.splitlines()[-1]
