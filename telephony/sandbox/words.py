"""Frames compared with what was asked for, and told in words: for assertions and replays.

Fields have Python's spelling here (``from_``, ``call_id``, ``app_id``), or the wire's.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

import attrs

from telephony.sandbox.dialplan import split_number
from telephony.sandbox.settings import digits_of

WIRE = {"call_id": "callid", "from_": "from", "app_id": "appid"}
_PYTHON = {wire: python for python, wire in WIRE.items()}

#: Fields with phone numbers, which compare by their digits.
_NUMBERS = frozenset({"to", "from", "did", "destination", "numbers", "subscribe_numbers"})
#: No field that a test asks for.
_LEFT_OUT = ("action", "request_id")
_SECRET = re.compile(r"token|passw|secret|auth|credential|api.?key|^sip$", re.IGNORECASE)
_USER = re.compile(r"[^\s/@]*@")
_PARTS = re.compile(r"((?:user|username|pass|password)=)[^;&?,\s]*", re.IGNORECASE)
_IN_JSON = re.compile(
    r'("[^"]*(?:token|passw|secret|auth|credential|key)[^"]*"\s*:\s*)"[^"]*"', re.IGNORECASE
)
#: So many frames are told, and so much of each value.
TOLD_FRAMES, TOLD_CHARACTERS = 10, 120


def wire_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """*fields* by the wire's names; a call stands for its id."""
    return {
        WIRE.get(name, name): getattr(value, "call_id", value) for name, value in fields.items()
    }


def differing(frame: Mapping[str, Any], fields: Mapping[str, Any]) -> list[str]:
    """Those of *fields* (by the wire's names) that *frame* has not, or has with another value.

    None stands for a field that is not there.
    """
    return [name for name, value in fields.items() if not _same(name, frame.get(name), value)]


def _same(name: str, found: Any, wanted: Any) -> bool:
    if name in _NUMBERS:
        if isinstance(wanted, (list, tuple)) and isinstance(found, list):
            return len(wanted) == len(found) and all(map(_same_number, found, wanted))
        if isinstance(wanted, (str, int)) and isinstance(found, (str, int)):
            return _same_number(found, wanted)
    if isinstance(wanted, (str, int)) and isinstance(found, (str, int)):
        if not isinstance(wanted, bool) and not isinstance(found, bool):
            return str(found) == str(wanted)  # a uid is written as text
    return bool(found == wanted)


def _same_number(found: Any, wanted: Any) -> bool:
    """By the digits; those to press after the answer count only where they are asked for."""
    found, wanted = str(found), str(wanted)
    if found == wanted:
        return True
    number, behind = split_number(found)
    wanted_number, wanted_behind = split_number(wanted)
    if wanted_behind not in ("", behind) or _is_name(number) or _is_name(wanted_number):
        return False
    digits = digits_of(number)
    return digits != "" and digits == digits_of(wanted_number)


def _is_name(number: str) -> bool:
    return any(character.isalpha() for character in number)


def told(name: str, value: Any) -> str:
    """One field: ``to='+1555…'``, without what is secret in it."""
    secret = _SECRET.search(name) and value is not None
    shown = "…" if secret else repr(_harmless(value))
    if len(shown) > TOLD_CHARACTERS:
        shown = f"{shown[:TOLD_CHARACTERS]}…"
    return f"{_PYTHON.get(name, name)}={shown}"


def _harmless(value: Any) -> Any:
    """*value* without the credentials in it."""
    if isinstance(value, dict):
        return {n: "…" if _SECRET.search(n) else _harmless(item) for n, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    if not isinstance(value, str):
        return value
    return _USER.sub("…@", _PARTS.sub(r"\g<1>…", _IN_JSON.sub(r'\g<1>"…"', value)))


def command(action: object, fields: Mapping[str, Any]) -> str:
    """A command: ``outbound to='+1800…' from_='+1555…'``."""
    parts = [told(name, value) for name, value in fields.items() if name not in _LEFT_OUT]
    return " ".join([str(action)[:TOLD_CHARACTERS], *parts])


@attrs.frozen
class Wanted:
    """A command that is asked for: its action, and fields by the wire's names."""

    action: str
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, action: str, fields: Mapping[str, Any]) -> Wanted:
        """The same from a test's keywords."""
        return cls(action, wire_fields(fields))

    def fits(self, frame: Mapping[str, Any]) -> bool:
        """Whether *frame* is such a command."""
        return frame.get("action") == self.action and not differing(frame, self.fields)

    def __str__(self) -> str:
        return command(self.action, self.fields)

    def nearest(self, frames: Sequence[Mapping[str, Any]]) -> str:
        """What was sent instead, in lines, nearest first; registrations only if asked for."""
        instead = [f for f in frames if "register" in (self.action, "") or not _registers(f)]
        if not instead:
            return "nothing was sent" if not frames else "nothing but a registration was sent"
        best = sorted(instead, key=self._distance)
        lines = [f"  {command(frame.get('action'), frame)}{self._why(frame)}" for frame in best]
        more = len(lines) - TOLD_FRAMES
        if more > 0:
            lines[TOLD_FRAMES:] = [f"  … and {more} more"]
        return "\n".join(["sent, nearest first:", *lines])

    def _distance(self, frame: Mapping[str, Any]) -> tuple[bool, int]:
        return frame.get("action") != self.action, len(differing(frame, self.fields))

    def _why(self, frame: Mapping[str, Any]) -> str:
        if frame.get("action") != self.action:
            return ""
        names = differing(frame, self.fields)
        return f"  <- {differ(names)}" if names else ""


def _registers(frame: Mapping[str, Any]) -> bool:
    return frame.get("action") == "register"


def differ(names: Sequence[str]) -> str:
    """``to differs``, ``to, from_ and channel differ``; there is one at least."""
    *first, last = [_PYTHON.get(name, name) for name in names]
    return f"{', '.join(first)} and {last} differ" if first else f"{last} differs"
