"""Programs at a terminal that they have for themselves, with somebody to look at its screen.

The terminal is a real one (a pty, the program's controlling terminal: Ctrl-C typed there is a
SIGINT), its screen is emulated by pyte.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
from typing import Callable, Mapping, Sequence

import pyte

from tests.cli.programs import ROOT, SECONDS

#: Makes the terminal on its standard input its own, and becomes the program.
_SHELL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
CTRL_C = b"\x03"


class Terminal:
    """A program at a terminal, until the ``with`` block ends."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        columns: int = 80,
        lines: int = 24,
        term: str = "xterm-256color",
    ) -> None:
        self.raw = b""
        self._screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()  # guards raw and the screen
        self._ended = False
        self._master, slave = pty.openpty()
        self._size(columns, lines)
        self._wake, self._woken = os.pipe()
        whole = {"LANG": "C.UTF-8", **env, "TERM": term}
        for name in ("COLUMNS", "LINES"):  # its size is the terminal's
            whole.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SHELL, *command],
            env=whole,
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        os.write(self._woken, b"x")
        self._thread.join(SECONDS)
        for descriptor in (self._master, self._wake, self._woken):
            os.close(descriptor)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _look(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            data = b""
            if self._master in ready:
                with contextlib.suppress(OSError):  # nobody holds the other end any more
                    data = os.read(self._master, 65536)
            with self._changed:
                self.raw += data
                self._stream.feed(data)
                self._ended = not data
                self._changed.notify_all()
            if not data:
                return

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    # --- what is on it -----------------------------------------------------------------------

    def _rows(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    def screen(self) -> list[str]:
        """The screen's rows, without those at the end that are empty."""
        with self._changed:
            rows = self._rows()
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def scrolled(self) -> str:
        """All that can be scrolled back to, and the screen."""
        with self._changed:
            above = [
                "".join(row[x].data for x in range(self._screen.columns)).rstrip()
                for row in self._screen.history.top
            ]
            return "\n".join([*above, *self._rows()])

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown."""
        flags: int = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ECHO)

    @property
    def cursor_hidden(self) -> bool:
        with self._changed:
            return bool(self._screen.cursor.hidden)

    def wait_for(self, wanted: Callable[[list[str]], object]) -> list[str]:
        """Wait until the screen is as *wanted*; returns its rows then."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: self._ended or wanted(self._rows()), timeout=SECONDS
            )
            rows = self._rows()
            assert found and wanted(rows), "\n".join(["this is on the screen:", *rows])
            return rows

    def wait_text(self, *texts: str) -> list[str]:
        """Wait until all these are on the screen."""
        return self.wait_for(lambda rows: all(any(t in row for row in rows) for t in texts))

    # --- who sits at it --------------------------------------------------------------------

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size; what it shows is broken into lines as most terminals do."""
        with self._changed:
            self._screen.resize(lines, columns)
            self._size(columns, lines)

    def close(self) -> None:
        """Close it, as one closes its window; nothing is seen of the program any more."""
        os.write(self._woken, b"x")
        self._thread.join(SECONDS)
        os.close(self._master)
        self._master = os.open(os.devnull, os.O_RDWR)

    def wait(self) -> int:
        """Wait until the program has ended; its exit code."""
        return self._process.wait(SECONDS)

    def finish(self) -> int:
        """Wait until the program has ended and all is on the screen; its exit code."""
        code = self._process.wait(SECONDS)
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended, timeout=SECONDS)
        return code
