"""The table of calls in the live view: state, who, how long, and what was heard last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Sequence

import attrs
from rich import box
from rich.table import Table
from rich.text import Text

from telephony.cli.columns import SHORT_ID
from telephony.protocol.states import INCOMING, RINGING, UP
from telephony.protocol.wire import shown

if TYPE_CHECKING:
    from telephony.call import Call

#: A call that has ended stays in the table for so long.
KEPT_SECONDS = 5.0

#: What each column needs, and from which width of the terminal on it is shown.
_COLUMNS = {
    "call": (SHORT_ID, 90),
    "": (3, 40),
    "from": (16, 60),
    "to": (16, 0),
    "state": (11, 0),
    "time": (7, 30),
    "last event": (18, 78),
}

_STYLES = {
    "incoming": "yellow",
    "ringing": "yellow",
    "answered": "cyan",
    "bridged": "green",
    "unbridged": "magenta",
    "hangup": "dim",
}


def style_of(state: str) -> str:
    """The colour of a call's state."""
    return _STYLES.get(state, "")


@attrs.define
class _Row:
    began: float
    answered: float | None = None
    ended: float | None = None
    last: str = ""


class CallsTable:
    """The calls that are, and those that just were. Not thread-safe."""

    def __init__(self, clean: Callable[[str], str], *, ascii_only: bool) -> None:
        """What comes from elsewhere goes through *clean* before it is shown."""
        self._clean = clean
        self._rows: dict[Call, _Row] = {}
        self._heard: dict[Call, str] = {}  # of calls whose row is still to come
        self._box = box.ASCII2 if ascii_only else box.SIMPLE_HEAD

    def __len__(self) -> int:
        return len(self._rows)

    def heard(self, call: Call, name: str) -> None:
        """The last that happened to a call."""
        self._heard[call] = name

    def update(self, calls: Sequence[Call], now: float) -> None:
        """These are the calls there are now; *now* is of the monotonic clock."""
        live = set(calls)
        for call in (*calls, *self._heard):
            self._rows.setdefault(call, _Row(began=now))
        for call, name in self._heard.items():
            self._rows[call].last = name
        self._heard.clear()
        for call, row in list(self._rows.items()):
            if row.answered is None and call.state in UP:
                row.answered = now
            if call in live:
                row.ended = None
            elif row.ended is None:
                row.ended = now
            elif now - row.ended > KEPT_SECONDS:
                del self._rows[call]

    def drawn(self, width: int, height: int, frame: Text, now: float) -> Table | Text:
        """The table for a terminal of this size; *frame* is the spinner's, at this moment."""
        shown = {name: size for name, (size, least) in _COLUMNS.items() if width >= least}
        table = Table(box=self._box, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for name, size in shown.items():
            table.add_column(
                name,
                no_wrap=True,
                overflow="crop",
                justify="right" if name == "time" else "left",
                min_width=min(size, width // len(shown) - 2),
                max_width=size,
            )
        most = max(1, height // 2 - 3)
        rows = list(self._rows.items())
        for call, row in rows[-most:]:
            cells = self._cells(call, row, frame, now)
            table.add_row(
                *(cells[name] for name in shown), style="dim" if row.ended is not None else ""
            )
        if len(rows) > most:
            table.caption = f"and {len(rows) - most} more"
            table.caption_justify = "left"
        return table

    def _cells(
        self, call: Call, row: _Row, frame: Text, now: float
    ) -> dict[str, Text]:
        info = call.info
        state = Text(self._clean(info.state.value), style=style_of(info.state.value))
        if row.ended is None and info.state in (RINGING, INCOMING):
            state = Text.assemble(frame, " ", state)
        seconds = (row.ended or now) - (row.answered or row.began)
        cells = {
            "call": info.call_id[:SHORT_ID],
            "": "out" if info.direction.startswith("out") else "in",
            "from": shown(info.from_),
            "to": shown(info.to),
            "time": f"{int(seconds // 60)}:{int(seconds % 60):02}",
            "last event": row.last,
        }
        return {"state": state} | {name: Text(self._clean(text)) for name, text in cells.items()}
