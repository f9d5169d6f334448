"""``telephony demo``: the story as programs and as people see it, and that it can fail."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

from telephony.cli import demo
from telephony.cli.demo import CLOSED_LINE, HOTLINE, StepMissingError
from telephony.cli.jsonlines import JsonLines
from telephony.sandbox import Sandbox
from tests.cli.programs import TELEPHONY, environment, run
from tests.cli.terminal import Terminal
from tests.conftest import PATIENT

PLACED = [
    "call_initiated",
    "call_ringing",
    "call_answered",
    "agora_bridge_start",
    "dtmf_received",
    "dtmf_received",
    "dtmf_received",
    "dtmf_received",
    "agora_bridge_end",
    "call_hangup",
]
ACCEPTED = [
    "call_incoming",
    "call_answered",
    "agora_bridge_start",
    "dtmf_received",
    "dtmf_received",
    "agora_bridge_end",
    "call_hangup",
]


@pytest.fixture
def served() -> Iterator[Sandbox]:
    """A sandbox such as the demo runs on, faster still."""
    with Sandbox(**PATIENT, dids=[HOTLINE, CLOSED_LINE]) as sandbox:
        yield sandbox


def told(cm: Sandbox) -> list[dict[str, Any]]:
    """The demo's JSON lines on this sandbox."""
    out = io.StringIO()
    demo.tell(cm, JsonLines(out, io.StringIO()))
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_programs_see_the_whole_story_and_exit_code_zero() -> None:
    """Piped, every line is a JSON object, and each call has all its events in order."""
    code, lines, stderr = run([*TELEPHONY, "demo"], environment())

    assert (0, "") == (code, stderr)
    objects = [json.loads(line) for line in lines]
    assert all(found["time"].endswith("Z") for found in objects)
    events = [found for found in objects if found["event"] not in ("step", "summary")]

    rejected = next(f["call_id"] for f in objects if f.get("step") == "rejected")
    outbound = [f for f in events if f.get("direction") == "outbound"]
    inbound = [f for f in events if f.get("direction") == "inbound" and f["call_id"] != rejected]
    assert PLACED == [found["event"] for found in outbound]
    assert ACCEPTED == [found["event"] for found in inbound]
    assert ["call_incoming"] == [f["event"] for f in events if f.get("call_id") == rejected]
    assert 1 == len({found["call_id"] for found in outbound[2:]})

    assert [("1234#", True), ("4", False), ("2", False), ("#", False)] == [
        (found["digits"], found["echo"]) for found in outbound[4:8]
    ]
    assert ["NORMAL_CLEARING"] * 2 == [outbound[-1]["hangup_cause"], inbound[-1]["hangup_cause"]]
    last = objects[-1]
    assert ("summary", True, 1, 1, 1) == (
        last["event"], last["ok"], last["placed"], last["accepted"], last["rejected"]
    )
    assert 10 > last["seconds"]


def test_people_see_columns_and_a_summary() -> None:
    """On a terminal there are lines with event, direction, state and call, and no JSON."""
    code, lines, _ = run([*TELEPHONY, "demo"], environment(COLUMNS="80"), terminal=True)

    assert 0 == code
    assert not [line for line in lines if line.startswith("{")]
    answered = [line.split() for line in lines if "call_answered" in line]
    assert [["outbound", "answered"], ["inbound", "answered"]] == [w[2:4] for w in answered]
    assert {8} == {len(words[4]) for words in answered}
    assert 1 == len([line for line in lines if "> rejected" in line])
    assert any("All went well: 3 calls" in line for line in lines)
    assert 80 >= max(len(line) for line in lines if "bridge_start" in line)


def test_without_aiohttp_one_line_says_what_to_install(tmp_path: Path) -> None:
    """A missing extra is one line naming the command, and exit code 1."""
    (tmp_path / "aiohttp.py").write_text("raise ImportError('not here')")
    code, lines, stderr = run([*TELEPHONY, "demo"], environment(PYTHONPATH=str(tmp_path)))

    assert 1 == code
    advice = 'the sandbox needs aiohttp: pip install "agora-telephony[sandbox]"'
    assert f"telephony: {advice}\n" == stderr
    assert "error" == json.loads(lines[-1])["event"]


def test_a_reader_that_goes_away_is_no_error() -> None:
    """``telephony demo | head -1`` prints one line and nothing about a broken pipe."""
    command = f'"{TELEPHONY[0]}" -m telephony demo | head -1'
    done = subprocess.run(
        ["sh", "-c", command], env=environment(), capture_output=True, text=True, timeout=60
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert 1 == len(done.stdout.splitlines())


def test_the_story_on_a_sandbox_given() -> None:
    """The summary counts what was told."""
    with Sandbox(**PATIENT, dids=[HOTLINE, CLOSED_LINE]) as cm:
        last = told(cm)[-1]

        assert ("summary", 20) == (last["event"], last["events"])
        assert ["endcall", "far end", "reject"] == [call.ended_by for call in cm.calls]


@pytest.mark.parametrize("action", ["accept", "reject"])
def test_an_inbound_call_that_cannot_be_taken_is_not_claimed(
    served: Sandbox, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused accept or reject happens in a callback, and still ends the demo."""
    monkeypatch.setattr(demo, "PATIENCE", 1.0)
    served.refuse("not today", action=action)

    with pytest.raises(StepMissingError, match="not today"):
        told(served)


def test_an_event_too_many_is_noticed(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits heard twice are not what the story is."""
    monkeypatch.setattr(demo, "PATIENCE", 1.0)
    served.duplicate()

    with pytest.raises(StepMissingError):
        told(served)


def test_a_call_that_is_not_answered_ends_the_demo(served: Sandbox) -> None:
    """What the client raises comes through."""
    served.script_dial(outcome="busy")

    with pytest.raises(demo.TelephonyError, match="Busy"):
        told(served)


def test_digits_that_do_not_come_back_are_noticed(
    served: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits that were collected and are other ones are no digits exchanged."""
    monkeypatch.setattr("telephony.call.Call.collect_digits", lambda *_, **__: "41")

    with pytest.raises(StepMissingError, match="got '41'"):
        told(served)


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
@pytest.mark.parametrize("columns", [80, 66])
def test_no_word_is_broken_in_two(term: str, columns: int) -> None:
    """What has no room in the last column goes on below, at a word."""
    with Terminal([*TELEPHONY, "demo"], environment(), columns=columns, term=term) as terminal:
        assert 0 == terminal.finish()
        rows = terminal.scrolled().split("\n")

    words = {word for row in rows for word in row.split()}
    assert {"hotline", "100", "(echo", "ours)", "NORMAL_CLEARING,", "billed"} <= words
