"""``--record FILE``, and ``telephony replay FILE``: a session kept, and played again."""

from __future__ import annotations

import json
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import TELEPHONY, Program, account, environment, run
from tests.cli.terminal import CTRL_C, Terminal

REPLAY = [*TELEPHONY, "replay"]
DID, CALLER = "+18005550100", "+15557654321"


def events(lines: list[str]) -> list[tuple[str, Any]]:
    """What happened, without what is of the moment."""
    objects = [json.loads(line) for line in lines]
    ours = ("step", "summary", "connected", "disconnected")
    return [(f["event"], f.get("state")) for f in objects if f["event"] not in ours]


@pytest.fixture
def dialled(cm: Sandbox, tmp_path: Path) -> tuple[Path, list[str]]:
    """A recorded dial, and what it printed."""
    file = tmp_path / "dial.jsonl"
    options = ["--seconds", "0.2", "--digits", "12#", "--record", str(file)]
    code, lines, stderr = run([*TELEPHONY, "dial", *options], account(cm))
    assert (0, "") == (code, stderr)
    return file, lines


def test_a_dial_is_played_as_it_was(dialled: tuple[Path, list[str]], cm: Sandbox) -> None:
    """The same events in the same order, without the Call Manager; and no secret is kept."""
    file, lines = dialled
    cm.stop()
    code, again, stderr = run([*REPLAY, str(file)], environment())

    assert (0, "") == (code, stderr)
    assert events(lines) == events(again)
    assert {"call_answered", "dtmf_received", "call_hangup"} < {name for name, _ in events(again)}
    assert True is json.loads(again[-1])["ok"]
    kept = file.read_text()
    assert [] == [s for s in (cm.auth_token.split()[1], "rtc-token-1") if s in kept]
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def test_listening_is_recorded_too(cm: Sandbox, tmp_path: Path) -> None:
    """An accepted call, played again."""
    file = tmp_path / "listen.jsonl"
    command = [*TELEPHONY, "listen", "--accept", "support", "--record", str(file)]
    with Program(command, account(cm)) as program:
        program.event("step", step="listen")
        caller = cm.incoming(to=DID, from_=CALLER)
        program.event("agora_bridge_start")
        caller.press("7")
        program.event("dtmf_received")
        caller.hang_up()
        program.event("call_hangup")
        program.interrupt()
        program.finish()
    code, lines, stderr = run([*REPLAY, str(file)], environment())

    assert (0, "") == (code, stderr)
    names = [name for name, _ in events(lines)]
    assert ["call_incoming", "call_answered", "agora_bridge_start", "dtmf_received"] == names[:4]
    assert "call_hangup" == names[-1]


def test_people_see_it_played(dialled: tuple[Path, list[str]]) -> None:
    """At a terminal, as with a live connection."""
    with Terminal([*REPLAY, str(dialled[0])], environment(), columns=100) as terminal:
        assert 0 == terminal.finish()
        text = terminal.scrolled()
    assert "call_answered       outbound answered" in text
    assert "done: played to its end" in text


def serve(program: Program) -> dict[str, str]:
    """The variables that it prints for a client to come."""
    words = [shlex.split(program.line())[1].partition("=") for _ in range(3)]
    return {name: value for name, _, value in words}


def test_it_is_served_to_another_program(dialled: tuple[Path, list[str]], cm: Sandbox) -> None:
    """Which does what was done then: the replay ends well, and so does the program."""
    with Program([*REPLAY, str(dialled[0]), "--serve"], environment()) as replay:
        there = {**account(cm), **serve(replay)}
        options = ["--seconds", "0.2", "--digits", "12#"]
        code, lines, stderr = run([*TELEPHONY, "dial", *options], there)
        ended, said = replay.finish()

    assert (0, "", 0) == (code, stderr, ended), replay.stderr
    assert events(dialled[1]) == events(lines)
    assert {"CM_HOST", "AUTH_TOKEN", "APPID"} <= set(there)
    assert '"event": "summary"' in said[-1]


def test_a_program_that_does_otherwise(dialled: tuple[Path, list[str]], cm: Sandbox) -> None:
    """What it did is told, with the line of the recording, and it is a failure."""
    with Program([*REPLAY, str(dialled[0]), "--serve"], environment()) as replay:
        there = {**account(cm), **serve(replay), "TO_NUMBER": "+18005559999"}
        run([*TELEPHONY, "dial", "--seconds", "0.2"], there)
        ended, _ = replay.finish()

    assert 1 == ended
    assert "+18005559999" in replay.stderr and "line " in replay.stderr


def test_what_is_served_as_one_object(dialled: tuple[Path, list[str]]) -> None:
    """With ``--json``; Ctrl-C before its end is an interruption."""
    with Program([*REPLAY, str(dialled[0]), "--serve", "--json"], environment()) as replay:
        found = replay.event("replay")
        replay.interrupt()
        code, _ = replay.finish()

    assert 130 == code
    assert {"CM_HOST", "AUTH_TOKEN", "APPID"} < set(found)


def test_ctrl_c_while_it_plays(dialled: tuple[Path, list[str]]) -> None:
    """At the pace of then, slowed down, it would take its time."""
    command = [*REPLAY, str(dialled[0]), "--speed", "0.001"]
    with Terminal(command, environment()) as terminal:
        terminal.wait_text("playing")
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()


def test_what_is_no_recording(tmp_path: Path) -> None:
    """File and line are named."""
    file = tmp_path / "notes.txt"
    file.write_text("hello\n")
    for path, word in ((file, "notes.txt"), (tmp_path / "none.jsonl", "none.jsonl")):
        code, _, stderr = run([*REPLAY, str(path)], environment())
        assert 1 == code
        assert 1 == len(stderr.splitlines()) and word in stderr


def test_a_recording_is_never_written_over(dialled: tuple[Path, list[str]], cm: Sandbox) -> None:
    """That is wrong usage, before anybody is called."""
    before = dialled[0].read_bytes()
    code, _, stderr = run([*TELEPHONY, "dial", "--record", str(dialled[0])], account(cm))

    assert (2, 1) == (code, len(cm.calls))
    assert stderr.startswith("telephony: --record: ")
    assert before == dialled[0].read_bytes()


def test_wrong_usage_leaves_no_file(tmp_path: Path, cm: Sandbox) -> None:
    """A second try is not told that the file exists."""
    file = tmp_path / "dial.jsonl"
    env = account(cm) | {"CM_HOST": "http://nowhere.invalid"}
    code, _, _ = run([*TELEPHONY, "dial", "--record", str(file)], env)

    assert (2, False) == (code, file.exists())
