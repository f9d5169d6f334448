"""Diagrams in the documents, and what they are compared with."""

from __future__ import annotations

import re
from typing import Any

import telephony
from telephony import Client
from telephony.sandbox import Sandbox
from tests.docs.wiretap import Wiretap

ARROW = re.compile(r"\|(?P<back><?)-+ (?P<label>\S.*?) -+>?\|")


def drawn(text: str) -> list[str]:
    """The labels of a diagram's arrows, in order: ``> outbound``, ``< call_ringing``."""
    heading, *lines = text.splitlines()
    assert ["client", "Call", "Manager"] == heading.split()
    found = []
    for line in lines:
        arrow = ARROW.search(line)
        assert arrow, f"no arrow: {line}"
        found.append(("< " if arrow["back"] else "> ") + arrow["label"])
    return found


def went(tap: Wiretap, *, directions: bool = False) -> list[str]:
    """What went over the wire after the handshake, in the same words."""
    found = []
    for from_client, frame in tap.frames[3:]:
        if from_client:
            found.append(f"> {frame['action']}")
        elif "event" in frame:
            direction = f"{frame['direction']} " if directions else ""
            found.append(f"< {direction}{frame['event']}")
        else:
            found.append(f"< response to {frame['response']}")
    return found


def tapped(cm: Sandbox, tap: Wiretap, **options: Any) -> Client:
    return Client(tap.url, cm.auth_token, None, cm.app_id, **options)


def tree(text: str) -> dict[str, tuple[str, str | None]]:
    """A drawn tree: name to (parent, what stands in brackets)."""
    found: dict[str, tuple[str, str | None]] = {}
    path: list[str] = []
    for line in text.splitlines():
        drawing, name, bracket = re.fullmatch(r"([│├└─ ]*)(\w+)(?: \((\w+)\))?", line).groups()
        del path[len(drawing) // 4:]
        found[name] = (path[-1] if path else "Exception", bracket)
        path.append(name)
    return found


def coded_tree() -> dict[str, tuple[str, str | None]]:
    """The same of the code's exceptions."""
    found = {}
    for name in telephony.__all__:
        kind = getattr(telephony, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            names = [base.__name__ for base in kind.__bases__]
            found[name] = (names[0], names[1] if len(names) > 1 else None)
    return found
