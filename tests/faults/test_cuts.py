"""Commands whose connection ends in the middle of them, or of their answers.

Every seventh byte here, another seventh for each command; ``python -m tests.faults --cuts``
does them all.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.cuts import ALL_SWEEPS, BEFORE, DOWN, UP, sweep


@pytest.mark.parametrize("command, direction", ALL_SWEEPS)
def test_cut(command, direction):
    """One of three ends, the right one; nothing twice; nothing left unaccounted for."""
    first = ALL_SWEEPS.index((command, direction)) % 7
    ends = Counter(end for _, end in sweep(command, direction, first=first, step=7))
    if direction == UP:
        assert ends["ConnectionLostError"] >= 8
        assert {"result", "ConnectionLostError"} >= set(ends)
    elif direction == DOWN:
        assert ends["ConnectionLostError"] >= 8
        assert 1 == ends["result"]
        assert {"result", "ConnectionLostError"} == set(ends)
    else:
        assert BEFORE == direction
        # A result where the client was connected again before it was asked.
        assert {"NotConnectedError", "ConnectionLostError", "result"} >= set(ends)
        assert ends["result"] < 10 == sum(ends.values())
