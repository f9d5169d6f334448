"""The locks inside a client, found by looking: a fork or a signal may come while one is held."""

from __future__ import annotations

import threading
from typing import Any, Iterator

from telephony import Client
from telephony.runtime.lock import ProcessLock

LOCKS = (type(threading.Lock()), type(threading.RLock()), ProcessLock)


def locks_of(client: Client) -> dict[str, Any]:
    """Every lock in what the client is made of, by the way to it."""
    found: dict[int, tuple[str, Any]] = {}
    seen: set[int] = set()
    rest: list[tuple[str, Any]] = [("client", client)]
    while rest:
        path, thing = rest.pop(0)
        if isinstance(thing, LOCKS):
            found.setdefault(id(thing), (path, thing))
        elif id(thing) not in seen and type(thing).__module__.startswith("telephony"):
            seen.add(id(thing))
            rest.extend((f"{path}.{name}", value) for name, value in attributes(thing))
    return dict(found.values())


def attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(thing, "__dict__", {}).items()
    for kind in type(thing).__mro__:
        names = getattr(kind, "__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if not name.startswith("__") and hasattr(thing, name):
                yield name, getattr(thing, name)
