"""Lines in columns, for people: clock, what happened, to which call, and what is particular."""

from __future__ import annotations

import shutil
import textwrap
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

import attrs

from telephony.cli.output import Output, Told, printable
from telephony.protocol.events import BridgeStarted, CallIncoming, CallInitiated, Event
from telephony.protocol.wire import shown

if TYPE_CHECKING:
    from telephony.call import Call
    from telephony.protocol.calls import CallInfo

#: Call ids are shown whole on terminals that are at least this wide, else their beginning.
WIDE_COLUMNS = 110
SHORT_ID = 8
#: What goes on below its line begins here, where its own column has no room for its words.
INDENT = 4


class Columns(Output):
    """Prints one line for everything that happens, and changes none that was printed."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        super().__init__(out, err)
        self._id_width = id_width(_width())

    def event(self, event: Event) -> None:
        """Print an event."""
        self._write(Cells.of_event(event, self._id_width).text(_width()))

    def step(self, step: str, detail: str = "", call: Call | None = None) -> None:
        """Print what is being done, in the columns of the events."""
        self._write(Cells.of_step(step, detail, call, self._id_width).text(_width()))

    def line(self, text: str, **fields: Any) -> None:
        """Print *text*, which may be several lines."""
        self._write("\n".join(printable(line) for line in text.split("\n")))


def _width() -> int:
    return shutil.get_terminal_size().columns


def id_width(columns: int) -> int:
    """How much of a call id is shown on a terminal of this width."""
    return 36 if columns >= WIDE_COLUMNS else SHORT_ID


@attrs.frozen
class Cells:
    """One line's columns, each with the room behind it; fit for a terminal."""

    clock: str
    name: str
    direction: str
    state: str
    call_id: str
    detail: str

    @classmethod
    def of(cls, name: str, info: CallInfo | None, detail: str, id_width: int) -> Cells:
        of_call = ("", "", "")  # what is about no call has its detail there
        if info is not None:
            call_id = info.call_id[:id_width] or "(no id)"
            of_call = (
                f"{info.direction:<8} ",
                f"{info.state.value:<9} ",
                f"{call_id:<{id_width}}  ",
            )
        clock = datetime.now().strftime("%H:%M:%S.%f")[:-3]
        return cls(*map(printable, (f"{clock}  ", f"{name:<18}  ", *of_call, detail)))

    @classmethod
    def of_event(cls, event: Event, id_width: int) -> Cells:
        told = Told.of(event)
        return cls.of(event.name, told.info, _detail(event, told), id_width)

    @classmethod
    def of_step(cls, step: str, detail: str, call: Call | None, id_width: int) -> Cells:
        return cls.of(f"> {step}", None if call is None else call.info, detail, id_width)

    def folded(self, width: int) -> tuple[Cells, list[str]]:
        """The line as it fits a terminal, and the lines below it with the rest of the detail.

        It is broken between words; a word that is longer than a line is left to the terminal.
        """
        column = len("".join(attrs.astuple(self))) - len(self.detail)
        if column + len(self.detail) <= width or not self.detail:
            return self, []
        inside = column + max(map(len, self.detail.split())) <= width
        indent = column if inside else INDENT
        room = max(1, width - indent)
        pieces = textwrap.wrap(self.detail, room, break_long_words=False, break_on_hyphens=False)
        first = pieces.pop(0) if inside else ""
        return attrs.evolve(self, detail=first), [" " * indent + piece for piece in pieces]

    def text(self, width: int) -> str:
        """The whole line, and those below it, on a terminal of this width."""
        line, below = self.folded(width)
        return "\n".join(["".join(attrs.astuple(line)).rstrip(), *below])


def _detail(event: Event, told: Told) -> str:
    """The last column: what is particular to the event."""
    info, fields = told.info, told.fields
    if info is not None and isinstance(event, (CallIncoming, CallInitiated)):
        return f"{shown(info.from_)} -> {shown(info.to)}"
    if info is not None and isinstance(event, BridgeStarted):
        return f"{info.channel}, uid {info.uid}"
    if "digits" in fields:
        return f"{fields['digits']}{' (echo of ours)' if fields['echo'] else ''}"
    if "hangup_cause" in fields:
        return f"{fields['hangup_cause']}, {fields.get('billsec', 0)} s billed"
    if "session_id" in fields:
        again = "again, " if fields["reconnected"] else ""
        return f"{again}session {fields['session_id']}"
    if "stale_calls" in fields:
        return f"{fields['seconds']:.1f} s without a connection, {len(fields['stale_calls'])} calls"
    return str(fields.get("error") or fields.get("reason") or "")
