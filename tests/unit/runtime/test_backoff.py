"""The pauses between attempts to connect."""

from __future__ import annotations

import pytest

from telephony import Backoff, InvalidArgumentError


def test_pauses_double_up_to_the_maximum():
    """Without jitter they are exactly the bounds."""
    backoff = Backoff(initial=1, maximum=30, jitter=False)
    assert [1, 2, 4, 8, 16, 30, 30] == [backoff.pause(n) for n in range(7)]


def test_no_attempt_is_too_many():
    """After days of trying the pause is the maximum still, not an overflow."""
    assert 30 == Backoff(jitter=False).pause(10**6)
    assert 0 <= Backoff().pause(10**6) <= 30


def test_an_initial_pause_over_the_maximum():
    """The maximum holds from the first on."""
    assert 2 == Backoff(initial=5, maximum=2, jitter=False).pause(0)


def test_jitter_spreads_over_the_whole_bound():
    """So that many clients of one lost server do not come back together."""
    backoff = Backoff(initial=8, maximum=8)
    pauses = [backoff.pause(0) for _ in range(500)]
    assert 0 <= min(pauses) < 2
    assert 6 < max(pauses) <= 8


def test_the_defaults():
    """Those of api.md."""
    assert Backoff(initial=1, maximum=30, jitter=True) == Backoff()


@pytest.mark.parametrize("name", ["initial", "maximum"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "1", None, True])
def test_a_pause_has_to_be_positive(name, value):
    """The error names what is wrong."""
    with pytest.raises(InvalidArgumentError, match=name):
        Backoff(**{name: value})
