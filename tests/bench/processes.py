"""The processes of the bench: servers that are shared, and a worker for each measurement."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Mapping

from tests.bench.subjects.base import Place

ROOT = Path(__file__).parents[2]
#: What every worker loads.
COMPILED = "import tests.bench.worker, tests.bench.subjects.ours, tests.bench.subjects.naive"
#: A worker that takes so long is given up, and has failed.
WORKER_SECONDS = 300.0
#: A server that does not end by itself so soon is killed.
GOODBYE_SECONDS = 5.0


class Failed(Exception):
    """A measurement did not finish, or found something wrong."""


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what could send a loopback connection elsewhere."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": str(ROOT), **(more or {})}


def cores() -> tuple[int, int] | None:
    """One core for the client and one for the server; None where there is but one."""
    there = sorted(os.sched_getaffinity(0))
    return (there[0], there[1]) if len(there) > 1 else None


class Servers:
    """Starts servers as they are wanted, each runs *module*, and ends all at the end."""

    def __init__(self, module: str = "tests.bench.server") -> None:
        self._module = module
        self._stack = contextlib.ExitStack()
        self._places: dict[tuple[bool, int | None], Place] = {}
        self._files: tuple[str, str] | None = None
        self._bytecode: dict[str, str] | None = None

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def place(self, tls: bool = False, core: int | None = None) -> Place:
        """Where the server of this kind is."""
        if (tls, core) not in self._places:
            self._places[tls, core] = self._started(tls, core)
        return self._places[tls, core]

    def _started(self, tls: bool, core: int | None) -> Place:
        arguments = [] if core is None else ["--core", str(core)]
        authority = None
        if tls:
            authority, certificate = self._certificates()
            arguments += ["--certificate", certificate]
        process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", self._module, *arguments],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self._stack.callback(self._end, process)
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise Failed("a server did not start")
        return Place(f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/v1/ws/events", authority)

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()

    def bytecode(self) -> Mapping[str, str]:
        """Variables by which workers load what others have compiled, as where it is installed.

        Without them the import would be measured with the compiler, and what that left on the
        heap with what is idle. It is kept where it is nobody's but the bench's.
        """
        if self._bytecode is None:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory())
            self._bytecode = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}
            subprocess.run(
                [sys.executable, "-c", COMPILED],
                cwd=ROOT, env=environment(self._bytecode), check=True,
            )  # fmt: skip
        return self._bytecode

    def _certificates(self) -> tuple[str, str]:
        """The files of the authority that clients trust, and of a server's certificate and key."""
        if self._files is None:
            import trustme

            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            authority, server = folder / "authority.pem", folder / "server.pem"
            made = trustme.CA()
            made.cert_pem.write_to_path(str(authority))
            made.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
            self._files = str(authority), str(server)
        return self._files


def work(
    measure: str,
    subject: str,
    place: Place,
    options: Mapping[str, Any],
    core: int | None,
    needs: str | None,
    variables: Mapping[str, str],
) -> dict[str, Any]:
    """The figures of one measurement in a fresh process; raises ``Failed``."""
    asked = {
        "measure": measure, "subject": subject, "url": place.url, "authority": place.authority,
        "options": options, "core": core, "needs": needs,
    }  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.worker", json.dumps(asked)],
            cwd=ROOT,
            env=environment(variables),
            capture_output=True,
            text=True,
            timeout=WORKER_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"not done in {WORKER_SECONDS:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Failed(said[-1])
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
