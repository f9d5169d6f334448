"""The fuzzer's own tests, and two thousand inputs of it; ``python -m tests.fuzz`` runs more."""

from __future__ import annotations

import random
import re

import pytest

from telephony.runtime.frames import FrameReader
from tests.fuzz import __main__ as command
from tests.fuzz.campaign import Failure, run, run_case
from tests.fuzz.talk import Talk

MESSAGES = 2000
SEED = 20


def test_two_thousand_messages():
    """Whatever the CM says: nothing raises, all is counted, and the session lives on."""
    assert f"{MESSAGES:,} for session, 200 for frames: all taken in" in run(MESSAGES, SEED)


def test_the_same_seed_makes_the_same_messages():
    """A failure can be repeated."""
    first, again, other = (Talk(random.Random(seed)) for seed in ("a", "a", "b"))
    for talk in (first, again, other):
        talk.run()
    assert first.messages == again.messages
    assert first.messages != other.messages


@pytest.fixture
def fault(request, monkeypatch):
    """A fault planted in the library."""
    if request.param == "raises":
        def text_of(value):
            if isinstance(value, float):
                raise ValueError("a float")
            return value if isinstance(value, str) else ""

        monkeypatch.setattr("telephony.protocol.table.text_of", text_of)
    elif request.param == "is silent":
        def unreadable(session, error):
            session.protocol_errors += 1
            return []

        monkeypatch.setattr("telephony.protocol.session.Session.unreadable", unreadable)
    elif request.param == "revives":
        monkeypatch.setattr("telephony.protocol.table.CallTable._bury", lambda *_: None)
        monkeypatch.setattr("telephony.protocol.table.CallTable._forget", lambda *_, **__: None)
    else:
        def allows(reader, first, size):
            return True

        monkeypatch.setattr(FrameReader, "_allows", allows)
    return request.param


FAULTS = ["raises", "is silent", "revives", "lets all pass"]


@pytest.mark.parametrize("fault", FAULTS, indirect=True)
def test_it_finds_a_fault(fault, capsys):
    """It ends non-zero, and prints the input and how to repeat it; repeated, it fails again."""
    target = "frames" if fault == "lets all pass" else "session"
    with pytest.raises(Failure):
        for number in range(400):
            run_case(target, SEED, number)
    again = f"python -m tests.fuzz --seed {SEED} --case {target}/{number}"
    assert 1 == command.main(again.split()[3:])
    error = capsys.readouterr().err
    assert again in error
    assert re.search(rf"{target}, case {number}, .*:\n", error)


def test_a_case_alone(capsys):
    """``--case`` runs that one."""
    assert 0 == command.main(["--seed", "1", "--case", "frames/3"])
    assert "frames/3 with seed 1: taken in\n" == capsys.readouterr().out
