"""Which public object a word of the text is about."""

from __future__ import annotations

import importlib
import re

import telephony

#: How the text speaks of an object, and the class whose member is meant.
OWNERS = {
    "client": "telephony.Client",
    "call": "telephony.Call",
    "cm": "telephony.sandbox.Sandbox",
    "Sandbox": "telephony.sandbox.Sandbox",
    "FarEnd": "telephony.sandbox.FarEnd",
    "Hooks": "telephony.hooks.Hooks",
    "Recorder": "telephony.testing.Recorder",
    "Replay": "telephony.testing.Replay",
    "PrometheusHooks": "telephony.contrib.prometheus.PrometheusHooks",
    **{name: f"telephony.{name}" for name in telephony.__all__ if not name.startswith("_")},
}

#: The tables whose first column names members, and whose they are.
TABLES = {
    "client-methods": "client",
    "call-members": "call",
    "sandbox-members": "Sandbox",
    "far-end-members": "FarEnd",
    "hooks": "Hooks",
    "replay-members": "Replay",
    "again": "client",
}


def target(text: str) -> str | None:
    """The public name that a literal is about: ``Call``, ``call.wait_ended(timeout=3)`` …"""
    module = r"(?:telephony\.(?:\w+\.)?(?=[A-Z]))?"
    found = re.fullmatch(rf"{module}(\w+)(?:\.(\w+))?(?:\(.*\))?", text, re.DOTALL)
    if found is None or found[1] not in OWNERS:
        return None
    owner, member = OWNERS[found[1]], found[2]
    if member is None:
        return owner if found[1][0].isupper() else None
    module, _, name = owner.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    for base in kind.__mro__:
        if member in vars(base) or member in vars(base).get("__annotations__", {}):
            break
    else:
        return None
    if member.startswith("_") or base is object:
        return None
    return f"{OWNERS.get(base.__name__, owner)}.{member}"  # where it is explained
