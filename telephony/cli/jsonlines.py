"""One JSON object a line, for programs."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from telephony.cli.output import Output, Told
from telephony.errors import CommandRefusedError, ConnectError
from telephony.protocol.events import Event

if TYPE_CHECKING:
    from telephony.call import Call
    from telephony.protocol.calls import CallInfo


class JsonLines(Output):
    """Prints an object a line, with its ``event`` and the ``time``; errors too."""

    def event(self, event: Event) -> None:
        """Print an event whole."""
        told = Told.of(event)
        self._object(
            event.name, timestamp=event.timestamp, **_identity(told.info), **told.fields
        )

    def step(self, step: str, detail: str = "", call: Call | None = None) -> None:
        """Print what is being done."""
        info = None if call is None else call.info
        self._object("step", step=step, detail=detail, **_identity(info))

    def line(self, text: str, **fields: Any) -> None:
        """Print *fields*."""
        self._object(**fields)

    def error(self, error: BaseException) -> None:
        """Complain, and tell the program as well."""
        more: dict[str, Any] = {}
        if isinstance(error, ConnectError):
            more = {"phase": error.phase, "status_code": error.status_code}
        elif isinstance(error, CommandRefusedError):
            more = {"action": error.action, "reason": error.reason, "call_id": error.call_id}
        self._object("error", error=type(error).__name__, message=str(error), **more)
        super().error(error)

    def _object(self, event: str, **fields: Any) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._write(json.dumps({"event": event, "time": now.replace("+00:00", "Z"), **fields}))


def _identity(info: CallInfo | None) -> dict[str, Any]:
    """What programs are told of a call with each of its events."""
    if info is None:
        return {}
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
