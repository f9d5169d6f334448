"""What the machine has found, kept as the steps that lead there."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from tests.model.machine import SPOTS, Machine

# How a dial goes unless it is said otherwise: no answer of the CM's before the callee's.
DIAL: dict[str, Any] = dict(
    spot=SPOTS[0], app=0, outcome="answer", early=False, delay=False, composite=False,
    direction="outbound", on=0,
)  # fmt: skip
ANSWERED = 2  # steps of the CM from a dial to its answer


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine whose client has one App ID and hangs up orphans."""
    machine = Machine()
    machine.begin(multi=False, keep=False)
    yield machine
    machine.teardown()


def test_a_gap_is_told_after_a_refusal_too(machine: Machine) -> None:
    """The connection is lost, the CM refuses us, and takes us when we ask again."""
    machine.drop()
    machine.come_back(refuse=True)
    machine.connect()


def test_a_route_in_the_place_of_an_id_is_not_over_for_good(machine: Machine) -> None:
    """Two calls share a route; the hangup that fits both must not swallow the one that fits one."""
    for _ in range(2):
        machine.dial(**{**DIAL, "composite": True, "on": ANSWERED})
    machine.far_end_hangs_up(number=0, cause="NORMAL_CLEARING")
    machine.hang_up(number=0)
    machine.time_passes(seconds=61)
    machine.far_end_hangs_up(number=0, cause="NORMAL_CLEARING")
    assert [] == machine.client.calls()
