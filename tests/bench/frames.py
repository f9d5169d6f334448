"""The calls of the bench, and the frames about them that its servers send.

Every text is as long for one call as for another, so that no figure depends on which it is.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

APP_ID = "f00dbeef5eed4badab1ef00dbeef5eed"

#: What is pressed on a call, over and over: each ten in a row are ten different digits.
PRESSED = "".join(
    str(((1, 3, 7, 9)[n // 10 % 4] * (n % 10) + n // 40) % 10) for n in range(400)
)


def call_id(number: int) -> str:
    """The id of the call with this number; dials are answered with 0, 1, 2 …"""
    return f"{number:08x}-5eed-4bad-8bee-{number:012x}"


def place_of(number: int) -> dict[str, str]:
    """What tells where the call is, as its dial names it and its events repeat it."""
    return {
        "uid": f"{100_000 + number}",
        "channel": f"support-{number:05d}",
        "to": f"+18005{number:06d}",
        "from": f"+15559{number:06d}",
    }


def text_frame(payload: bytes) -> bytes:
    """A WebSocket text frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def event(number: int, name: str, **more: str) -> bytes:
    """The frame of one event of the call with this number."""
    told: dict[str, Any] = {
        "event": name,
        "callid": call_id(number),
        "timestamp": 1_760_000_000 + number,
        **place_of(number),
        "direction": "outbound",
        "appid": APP_ID,
        "video": False,
        **more,
    }
    return text_frame(json.dumps(told, separators=(",", ":")).encode())


def beginnings(numbers: Iterable[int]) -> bytes:
    """The events by which the calls with these numbers come up."""
    return b"".join(
        event(number, name)
        for number in numbers
        for name in ("call_initiated", "call_ringing", "call_answered")
    )


def presses(count: int, calls: int, bunch: int) -> Iterable[bytes]:
    """So many ``dtmf_received``, *bunch* of one call after another, of *calls* in turn."""
    made: dict[tuple[int, str], bytes] = {}
    for n in range(count):
        turn, of_bunch = divmod(n, bunch)
        its_round, number = divmod(turn, calls)
        digit = PRESSED[(its_round * bunch + of_bunch) % len(PRESSED)]
        if (number, digit) not in made:
            made[number, digit] = event(number, "dtmf_received", digits=digit)
        yield made[number, digit]


def misplaced(heard: Mapping[Any, Iterable[str]]) -> int:
    """How many digits stand where another was pressed, over all calls."""
    wrong = 0
    for digits in heard.values():
        for n, digit in enumerate(digits):
            wrong += digit != PRESSED[n % len(PRESSED)]
    return wrong
