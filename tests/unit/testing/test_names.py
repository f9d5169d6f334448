"""``telephony.testing``: what it offers, and that it loads nothing before it is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

import telephony.recording
import telephony.testing
import telephony.testing.replay


@pytest.mark.parametrize("name", telephony.testing.__all__)
def test_a_name(name: str) -> None:
    """It can be imported, and says what it is."""
    assert len(getattr(telephony.testing, name).__doc__) > 30


def test_it_is_the_same_thing() -> None:
    """However it is imported."""
    assert telephony.testing.Replay is telephony.testing.replay.Replay
    assert telephony.testing.Recorder is telephony.recording.Recorder


def test_no_other_name() -> None:
    """As everywhere."""
    with pytest.raises(AttributeError, match="no attribute 'Recording'"):
        telephony.testing.Recording


def test_nothing_is_loaded_before() -> None:
    """A recorder brings no server with it."""
    program = (
        "import sys, telephony.testing; print(len([m for m in sys.modules if 'telephony' in m]));"
        "telephony.testing.Recorder; print(any('sandbox' in m or m == 'aiohttp' "
        "for m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ["3", "False"] == done.stdout.split(), done.stderr
