"""What the command line prints: columns for people, one JSON object a line for programs."""

from __future__ import annotations

import _thread
import json
import os
import shlex
import shutil
import signal
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Mapping, TextIO

from telephony.errors import CommandRefusedError, ConnectError
from telephony.protocol.events import (
    BridgeStarted,
    CallIncoming,
    CallInitiated,
    Event,
    UnknownEvent,
)
from telephony.protocol.wire import redact

if TYPE_CHECKING:
    from telephony.call import Call
    from telephony.protocol.calls import CallInfo

#: Call ids are shown whole on terminals that are at least this wide, else their beginning.
WIDE_COLUMNS = 110
SHORT_ID = 8

#: what events have beside what all of them have
_EXTRAS = (
    "digits",
    "echo",
    "hangup_cause",
    "duration",
    "billsec",
    "sip_disposition",
    "reason",
    "session_id",
    "reconnected",
    "seconds",
)


class Output:
    """Prints to *out*, complaints to *err*; any thread may, and each line leaves at once.

    A reader of *out* that went away is no error: nothing is printed any more, ``broken`` is
    true from then on, and the main thread is interrupted as by Ctrl-C.
    """

    def __init__(self, out: TextIO, err: TextIO, *, json_lines: bool) -> None:
        self.json_lines = json_lines
        self.broken = False
        self._out = out
        self._err = err
        self._lock = threading.Lock()  # guards _out: lines must not mix
        wide = shutil.get_terminal_size().columns >= WIDE_COLUMNS
        self._id_width = 36 if wide else SHORT_ID

    # --- what there is to say --------------------------------------------------------------

    def event(self, event: Event) -> None:
        """Print an event, as its callback."""
        info = getattr(event, "info", None)
        call: Call | None = getattr(event, "call", None)
        if info is None and call is not None:
            info = call.info
        fields = {n: getattr(event, n) for n in _EXTRAS if getattr(event, n, None) is not None}
        error = getattr(event, "error", None)
        if error is not None:
            fields["error"] = str(error)
        stale = getattr(event, "stale_calls", None)
        if stale is not None:
            fields["stale_calls"] = [call.call_id for call in stale]
        if isinstance(event, UnknownEvent):
            fields["raw"] = redact(dict(event.raw))
        if self.json_lines:
            whole = {} if info is None else _identity(info)
            self._json(event=event.name, timestamp=event.timestamp, **whole, **fields)
        else:
            self._columns(event.name, info, _detail(event, info, fields))

    def step(self, step: str, detail: str = "", call: Call | None = None) -> None:
        """Print what is being done, in the columns of the events."""
        info = None if call is None else call.info
        if self.json_lines:
            whole = {} if info is None else _identity(info)
            self._json(event="step", step=step, detail=detail, **whole)
        else:
            self._columns(f"> {step}", info, detail)

    def line(self, text: str, **fields: Any) -> None:
        """Print *text* for people, or *fields* for programs."""
        if self.json_lines:
            self._json(**fields)
        else:
            self._write("\n".join(_printable(line) for line in text.split("\n")))

    def error(self, error: BaseException) -> None:
        """Complain about *error*; programs are told on the output too."""
        if self.json_lines:
            more: dict[str, Any] = {}
            if isinstance(error, ConnectError):
                more = {"phase": error.phase, "status_code": error.status_code}
            elif isinstance(error, CommandRefusedError):
                more = {"action": error.action, "reason": error.reason, "call_id": error.call_id}
            self._json(event="error", error=type(error).__name__, message=str(error), **more)
        self.complain(str(error) or type(error).__name__)

    def complain(self, text: str) -> None:
        """Print one line to the complaints."""
        try:
            print(f"telephony: {_printable(text)}", file=self._err, flush=True)
        except (OSError, ValueError):
            pass  # nobody to tell

    def environment(self, variables: Mapping[str, str]) -> None:
        """Print variables for a shell to read, whoever reads them."""
        self._write("\n".join(f"export {n}={shlex.quote(v)}" for n, v in variables.items()))

    # --- how it is said ----------------------------------------------------------------------

    def _columns(self, name: str, info: CallInfo | None, detail: str) -> None:
        clock = datetime.now().strftime("%H:%M:%S.%f")[:-3]
        direction, state, call_id = "", "", ""
        if info is not None:
            direction, state = info.direction, info.state.value
            call_id = info.call_id[: self._id_width] or "(no id)"
        who = f"{direction:<8} {state:<9} {call_id:<{self._id_width}}"
        self._write(_printable(f"{clock}  {name:<18}  {who}  {detail}".rstrip()))

    def _json(self, event: str, **fields: Any) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._write(json.dumps({"event": event, "time": now.replace("+00:00", "Z"), **fields}))

    def _write(self, text: str) -> None:
        encoding = self._out.encoding or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        with self._lock:
            if self.broken:
                return
            try:
                self._out.write(f"{text}\n")
                self._out.flush()
                return
            except BrokenPipeError:
                self.broken = True
                # What the stream still holds is flushed at exit, and must not fail there.
                with open(os.devnull, "w") as nowhere:
                    os.dup2(nowhere.fileno(), self._out.fileno())
        _interrupt_main()


def _interrupt_main() -> None:
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)  # wakes it from its waiting, too
    else:
        _thread.interrupt_main()


def _identity(info: CallInfo) -> dict[str, Any]:
    """What programs are told of a call with each of its events."""
    return {
        "call_id": info.call_id,
        "direction": info.direction,
        "state": info.state.value,
        "from": info.from_,
        "to": info.to,
        "channel": info.channel,
        "uid": info.uid,
        "app_id": info.app_id,
    }


def _detail(event: Event, info: CallInfo | None, fields: Mapping[str, Any]) -> str:
    """The last column: what is particular to the event."""
    if info is not None and isinstance(event, (CallIncoming, CallInitiated)):
        return f"{info.from_} -> {info.to}"
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


def _printable(text: str) -> str:
    """*text* without what a terminal would take for commands: numbers come from strangers."""
    return "".join(c if c.isprintable() else "?" for c in text)
