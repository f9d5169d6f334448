"""What the machine has found, kept as the steps that lead there."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from tests.model.acts import Acts
from tests.model.play import SPOTS

# How a dial goes unless it is said otherwise: no answer of the CM's before the callee's.
DIAL: dict[str, Any] = dict(
    spot=SPOTS[0], app=0, outcome="answer", early=False, delay=False, composite=False,
    direction="outbound", on=0,
)  # fmt: skip
ANSWERED = 2  # steps of the CM from a dial to its answer


@pytest.fixture
def play() -> Iterator[Acts]:
    """One whose client has one App ID and hangs up orphans."""
    play = Acts()
    yield play
    play.end()


def test_a_gap_is_told_after_a_refusal_too(play: Acts) -> None:
    """The connection is lost, the CM refuses us, and takes us when we ask again."""
    play.drop()
    play.come_back(refuse=True)
    play.connect()


def test_a_route_in_the_place_of_an_id_is_not_over_for_good(play: Acts) -> None:
    """Two calls share a route; the hangup that fits both must not swallow the one that fits one."""
    for _ in range(2):
        play.dial(**{**DIAL, "composite": True, "on": ANSWERED})
    play.far_end_hangs_up(number=0, cause="NORMAL_CLEARING")
    play.hang_up(number=0)
    play.time_passes(seconds=61)
    play.far_end_hangs_up(number=0, cause="NORMAL_CLEARING")
    assert [] == play.client.calls()


def test_each_hangup_of_a_route_that_fits_several_is_told(play: Acts) -> None:
    """Three calls share a route: two hangups of it are two, and a copy of one is none."""
    for _ in range(3):
        play.dial(**{**DIAL, "composite": True, "on": ANSWERED})
    for cause in ("NORMAL_CLEARING", "USER_BUSY"):
        play.far_end_hangs_up(number=0, cause=cause)
        play.late_copy(1)
