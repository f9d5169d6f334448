"""Worker processes that do the same side by side."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import Any, Mapping, Sequence

from tests.bench.processes import GOODBYE_SECONDS, ROOT, Failed, Servers, environment

Figures = dict[str, Any]


class Crew:
    """So many workers (`tests.bench.scale.worker`), all connected to one server.

    They give up by themselves whatever takes too long, so nothing here has a timeout.
    """

    def __init__(self, workers: int, servers: Servers) -> None:
        self._workers = workers
        self._servers = servers
        self._stack = contextlib.ExitStack()
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Crew:
        with contextlib.ExitStack() as stack:
            for _ in range(self._workers):
                process = stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-m", "tests.bench.scale.worker",
                         self._servers.place().url],
                        cwd=ROOT, env=environment(self._servers.bytecode()),
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    )
                )  # fmt: skip
                stack.callback(self._end, process)
                self._processes.append(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:  # they close side by side
            with contextlib.suppress(BrokenPipeError):
                self._pipe(process.stdin).close()
        self._stack.close()

    def _end(self, process: subprocess.Popen[str]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._pipe(process.stdin).close()
        try:
            process.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()

    @staticmethod
    def _pipe(pipe: Any) -> Any:
        assert pipe is not None
        return pipe

    def all(self, do: str, **asked: Any) -> list[Figures]:
        """Have all do this at once; what each has to say."""
        return self.each(do, [asked] * self._workers)

    def each(self, do: str, asked: Sequence[Mapping[str, Any]]) -> list[Figures]:
        """The same with arguments of its own for each; no more workers than there are arguments."""
        chosen = list(zip(self._processes, asked))
        try:
            for process, arguments in chosen:
                stdin = self._pipe(process.stdin)
                stdin.write(json.dumps({"do": do, **arguments}) + "\n")
                stdin.flush()
        except BrokenPipeError:
            raise Failed(f"a worker ended before it could {do}") from None
        return [self._said(process, do) for process, _ in chosen]

    def first(self, do: str, **asked: Any) -> Figures:
        """Have the first do this."""
        return self.each(do, [asked])[0]

    def _said(self, process: subprocess.Popen[str], do: str) -> Figures:
        line = self._pipe(process.stdout).readline()
        if not line:
            raise Failed(f"a worker ended in {do}")
        figures: Figures = json.loads(line)
        if "failed" in figures:
            raise Failed(f"{do}: {figures['failed']}")
        return figures
