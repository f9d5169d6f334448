"""What is on a proxy's tapes, read as WebSocket frames."""

from __future__ import annotations

import json
from typing import Any


def frame_length(tape: bytes) -> int | None:
    """The length of the client's frame that *tape* begins with, None if that is not there yet."""
    if len(tape) < 2:
        return None
    size = tape[1] & 0x7F
    if size == 126:
        return 8 + int.from_bytes(tape[2:4], "big") if len(tape) >= 4 else None
    assert size < 126, "no command is as long as that"
    return 6 + size


def frames_of(tape: bytes) -> list[dict[str, Any]]:
    """The JSON objects in what a server sent: the upgrade, and then frames without masks."""
    frames, start = [], tape.find(b"\r\n\r\n") + 4
    if start < 4:
        return []
    while len(tape) >= start + 2:
        size, head = tape[start + 1], 2
        if size == 126:
            size, head = int.from_bytes(tape[start + 2:start + 4], "big"), 4
        data = tape[start + head:start + head + size]
        if len(tape) < start + head + size:
            break
        if tape[start] == 0x81:
            frames.append(json.loads(data))
        start += head + size
    return frames
