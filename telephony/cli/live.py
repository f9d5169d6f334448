"""A view that changes in place: lines that scroll, and below them the calls there are now.

Needs rich, and a terminal that moves its cursor. One thread does all the drawing, ten times a
second at most: callbacks never wait for a terminal, and Ctrl-C never hits half a picture. The
cursor is not hidden, so that nothing is to be put right where a process is killed.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Generator, TextIO

import attrs
from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from telephony.cli.callstable import CallsTable, style_of
from telephony.cli.columns import Cells, id_width
from telephony.cli.output import HELD, Output, printable
from telephony.protocol.events import Connected, Disconnected, ErrorOccurred, Event

if TYPE_CHECKING:
    from telephony.call import Call
    from telephony.client import Client

#: The picture is drawn this often, if anything in it moves.
TICK_SECONDS = 0.1
#: Lines that wait to be printed, and lines that are printed again when the terminal got narrower.
LINES_MOST = 10_000
#: Whoever ends it does not wait longer than this for a terminal that takes nothing in.
CLOSE_SECONDS = 2.0


class LiveView(Output):
    """Prints lines above a table of calls, with spinners for what is waited for."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        super().__init__(out, err)
        self._console = Console(file=out)  # is given no str from elsewhere: in a Text is no markup
        ascii_only = not self._console.encoding.lower().startswith("utf")
        self._spinner = Spinner("line" if ascii_only else "dots")
        self._table = CallsTable(self._clean, ascii_only=ascii_only)
        # The base's lock guards what is below; it is never held while something is printed.
        self._lines: deque[Text] = deque(maxlen=LINES_MOST)
        self._waits: list[str] = []
        self._notice = ""  # goes before what is waited for
        self._client: Client | None = None
        self._printed: deque[Text] = deque(maxlen=LINES_MOST)
        self._live = Live(
            console=self._console,
            get_renderable=self._picture,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._draw_on, name="telephony-view", daemon=True)
        self._thread.start()

    @staticmethod
    def fits(out: TextIO) -> bool:
        """Whether *out* is a terminal on which lines can be changed."""
        console = Console(file=out)
        return console.is_terminal and console.is_interactive and not console.is_dumb_terminal

    def close(self) -> None:
        """Print what is left, take the table away, and leave the cursor where lines end."""
        self._ending.set()
        self._thread.join(CLOSE_SECONDS)

    # --- what there is to say --------------------------------------------------------------

    def event(self, event: Event) -> None:
        """Print an event, and remember it as its call's last."""
        call: Call | None = getattr(event, "call", None)
        with self._lock:
            if call is not None:
                self._table.heard(call, event.name)
            if isinstance(event, Disconnected) and event.error is not None:
                self._notice = "connecting again"
            elif isinstance(event, (Connected, ErrorOccurred)):
                self._notice = ""
        self._say_cells(Cells.of_event(event, id_width(self._console.width)))

    def step(self, step: str, detail: str = "", call: Call | None = None) -> None:
        """Print what is being done, in the columns of the events."""
        cells = Cells.of_step(step, detail, call, id_width(self._console.width))
        self._say_cells(cells, name="bold")

    def line(self, text: str, **fields: Any) -> None:
        """Print *text*, which may be several lines; ``ok`` among *fields* colours its ends."""
        good = fields.get("ok")
        style = {True: "green", False: "red"}.get(good, "") if good is not None else ""
        self._say_lines(text, style)

    def note(self, text: str) -> None:
        """Print a complaint above the table, if that is where complaints go."""
        if self._err.isatty():
            self._say_lines(text, "red")
        else:
            super().note(text)

    def _say_lines(self, text: str, style: str) -> None:
        for each in text.split("\n"):
            self._say(Text(self._clean(each), style=style))

    def _clean(self, text: str) -> str:
        """*text* as this terminal can show it, and nothing that it would obey."""
        return self._encodable(printable(text))

    def _say_cells(self, cells: Cells, name: str = "") -> None:
        styles = {"clock": "dim", "name": name, "state": style_of(cells.state.strip())}
        line, below = cells.folded(self._console.width)
        text = Text()
        for column, value in attrs.asdict(line).items():
            text.append(self._clean(value), style=styles.get(column, ""))
        text.rstrip()
        self._say(text, *(Text(self._clean(each)) for each in below))

    def _say(self, *lines: Text) -> None:
        with self._lock:
            self._lines.extend(lines)

    # --- what is waited for ------------------------------------------------------------------

    def watch(self, client: Client) -> None:
        """Show the calls of *client* in the table."""
        with self._lock:
            self._client = client

    @contextlib.contextmanager
    def waiting(self, what: str) -> Generator[None, None, None]:
        """Show a spinner with *what* below the table; the innermost counts."""
        self._waits.append(what)
        try:
            yield
        finally:
            self._waits.pop()

    def held(self) -> None:
        """Say it where a spinner is: nothing is locked or printed here."""
        self._waits[:] = [HELD] * len(self._waits)

    # --- the drawing -----------------------------------------------------------------------

    def _draw_on(self) -> None:
        """What the thread does until `close`."""
        try:
            self._live.start()
            self._console.show_cursor(True)
            width, moving = self._console.width, False
            while not self._ending.wait(TICK_SECONDS):
                if not self._out.isatty():  # any more; rich would just print nothing
                    raise OSError
                before, width = width, self._console.width
                if width < before:
                    self._print_again()
                was_moving, moving = moving, self._moves()
                if self._lines or moving or was_moving or width != before:
                    self._draw()
            self._draw()
            self._live.stop()
        except OSError:  # the terminal is gone
            self._give_up()
            self._interrupt()

    def _moves(self) -> bool:
        """Whether the picture changes by itself."""
        client = self._client
        calls = [] if client is None else client.calls()
        with self._lock:
            self._table.update(calls, time.monotonic())
            return bool(self._waits or self._notice or self._table)

    def _draw(self) -> None:
        lines = []
        with self._lock:
            while self._lines:
                lines.append(self._lines.popleft())
        if lines:
            self._printed.extend(lines)
            self._print(lines)
        self._live.refresh()

    def _print(self, lines: list[Text]) -> None:
        # The terminal breaks long lines, so that what is copied from it is whole.
        self._console.print(Text("\n").join(lines), soft_wrap=True)

    def _print_again(self) -> None:
        """Clear the screen: where the terminal has broken the picture's lines it is not known."""
        room = self._console.height - len(self._table) - 3
        last: deque[Text] = deque()
        for line in reversed(self._printed):
            room -= 1 + max(0, line.cell_len - 1) // self._console.width
            if room < 0:
                break
            last.appendleft(line)
        self._console.control(Control.home(), Control.clear())
        if last:
            self._print(list(last))

    def _picture(self) -> Group:
        """The table, and the spinner below it."""
        frame = self._spinner.render(self._console.get_time())
        assert isinstance(frame, Text)
        parts: list[Any] = []
        with self._lock:
            if self._table:
                size = self._console.size
                parts.append(self._table.drawn(size.width, size.height, frame, time.monotonic()))
            what = self._notice or (self._waits[-1] if self._waits else "")
        if what:
            status = Text.assemble(frame, " ", self._clean(what), no_wrap=True, overflow="crop")
            status.truncate(max(1, self._console.width - 1), overflow="crop")
            parts.append(status)
        return Group(*parts)
