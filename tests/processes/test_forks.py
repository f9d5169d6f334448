"""Forks in the thick of it: the child has its own connection, and the parent's is untouched."""

from __future__ import annotations

import json
from collections import Counter

from telephony import Call, Client
from telephony.sandbox import Sandbox
from tests.processes.conftest import Process, Start, clean, commands
from tests.processes.programs import forks

#: what needs no connection, or makes one
NEEDS_NONE = {
    "close", "closed", "connect", "connected", "from_env", "off", "on", "run_forever",
    "set_handler", "state",
}  # fmt: skip


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_all_methods_are_tried() -> None:
    """A method that is added has to be decided about."""
    properties = {name for name in public(Call) if not callable(getattr(Call, name))}
    # What an answered call has been through is known without the CM.
    known = {"wait_answered", "wait_bridged", "on"}

    assert public(Client) - NEEDS_NONE == set(forks.OF_A_CLIENT)
    assert public(Call) - properties - known == set(forks.OF_A_CALL)


GOOD = {
    "inherited": 0,
    "wrong": [],
    "before": ["idle", False],
    "after": ["connected", 0, "hangup"],
    "code": 0,
}


def check(program: Process, cm: Sandbox, times: int) -> None:
    """So many children had their own connection, used it, and left the parent's alone."""
    children = [json.loads(program.line()) for _ in range(times)]
    parent = json.loads(program.line())

    assert [] == [child for child in children if GOOD != child]
    assert {"failed": [], "reconnects": 0} == parent
    assert (0, []) == program.finish()
    assert clean(program.stderr), program.stderr
    names = Counter(frame["client_id"] for frame in commands(cm, "register"))
    assert times + 1 == len(names)
    assert {1} == set(names.values())
    of_children = [call for call in cm.calls if "of a child" == call.channel]
    assert times == len({call.owner for call in of_children}) == len(of_children)
    assert {True} == {call.ended for call in of_children}


def test_a_hundred_forks(start: Start, cm: Sandbox) -> None:
    """With five busy threads, and each lock of the client held in its turn."""
    check(start("forks", 100), cm, 100)


def test_a_fork_that_python_is_not_told_of(start: Start, cm: Sandbox) -> None:
    """Some servers written in C fork without the hooks: the process id tells all the same."""
    check(start("forks"), cm, 1)
