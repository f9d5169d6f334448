"""Recordings: written by hand, and made of a session with a sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HEAD = {"format": "telephony-recording", "version": 1}
GREETING = {"status": "connected", "session_id": "session-1"}
REGISTER = {"action": "register", "auth_token": "***", "client_id": "c", "appid": "APP"}
REGISTERED = {"status": "registered", "client_id": "c"}
#: line 2, 3 and 4
HANDSHAKE: list[Any] = [GREETING, REGISTER, REGISTERED]
LOST = "disconnected"
CALL = "4f1c"
ABOUT_CALL = {"callid": CALL, "appid": "APP"}


def event(name: str, **fields: Any) -> dict[str, Any]:
    """An event of a call that somebody else began."""
    return {"event": name, "direction": "inbound", "from": "+15551234567", "to": "+18005550001",
            **ABOUT_CALL, **fields}  # fmt: skip


def command(action: str, request_id: str, **fields: Any) -> dict[str, Any]:
    """A command about that call."""
    return {"action": action, **ABOUT_CALL, **fields, "request_id": request_id}


def answer(request_id: str, **data: Any) -> dict[str, Any]:
    """What it was answered with."""
    action = request_id.rpartition("_")[0]
    return {"response": action, "status_code": 200, "data": {"success": True, **data},
            "request_id": request_id}  # fmt: skip


def write(path: Path, *happened: Any, **head: Any) -> Path:
    """A recording of frames, and of the words for what else happened; numbers are pauses."""
    lines: list[dict[str, Any]] = [{**HEAD, **head}]
    at = 0.0
    for each in happened:
        if isinstance(each, float):
            at += each
            continue
        line: dict[str, Any] = {"at": at}
        if isinstance(each, str):
            line["what"] = each
        else:
            line.update(what="sent" if "action" in each else "received", frame=each)
        lines.append(line)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    return path
