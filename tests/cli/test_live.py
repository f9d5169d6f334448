"""The view that changes in place, looked at on a terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import SECONDS, TELEPHONY, account, environment
from tests.cli.terminal import CTRL_C, Terminal
from tests.scripted import ScriptedCM

DID = "+18005550100"
CALLER = "+15557654321"
LISTEN = [*TELEPHONY, "listen", "--accept", "support"]


def row_of(rows: list[str], number: str) -> str:
    """The last row with a number in it: the table's is below the lines."""
    return [row for row in rows if number in row][-1]


def filled(rows: list[str]) -> list[str]:
    """The rows with something in them."""
    return [row for row in rows if row]


def headings(rows: list[str]) -> list[int]:
    """Where the table's first line is: nowhere, while the picture is half drawn."""
    return [i for i, row in enumerate(rows) if "state" in row and "time" in row]


def in_table(*words: str):
    """Whether the table's row, the last with the caller's number, has these words."""

    def there(rows: list[str]) -> bool:
        found = [row for row in rows if CALLER in row and "->" not in row]
        return bool(found) and all(word in found[-1] for word in words)

    return there


def test_a_call_is_seen_in_lines_and_in_a_table(cm: Sandbox) -> None:
    """State, numbers, time and last event are in its row; the lines stay when it is over."""
    with Terminal(LISTEN, account(cm), columns=120) as terminal:
        terminal.wait_text("listening for calls to any number")
        caller = cm.incoming(to=DID, from_=CALLER)
        rows = terminal.wait_for(in_table("bridged", "agora_bridge_start", DID))
        assert re.search(r" \d:\d\d ", row_of(rows, CALLER))
        assert "call" in rows[[CALLER in row and "->" not in row for row in rows].index(True) - 2]
        caller.press("5")
        terminal.wait_for(in_table("dtmf_received"))
        caller.hang_up()
        terminal.wait_for(in_table("hangup", "call_hangup"))
        terminal.type(CTRL_C)
        code = terminal.finish()

        left = terminal.screen()
        assert 130 == code
        assert not terminal.cursor_hidden
        assert [] == [row for row in left if CALLER in row and "->" not in row]
        assert [] == [row for row in left if "listening for" in row]
        names = ["connected", "call_incoming", "agora_bridge_start", "dtmf_received", "call_hangup"]
        lines = [row for row in left if re.match(r"\d\d:\d\d:\d\d", row)]
        assert names == [n for row in lines for n in names if f"  {n} " in row]


def test_the_time_of_a_call_is_counted(cm: Sandbox) -> None:
    """Without any event it goes on."""
    with Terminal(LISTEN, account(cm)) as terminal:
        terminal.wait_text("listening")
        cm.incoming(to=DID, from_=CALLER)
        terminal.wait_for(in_table("bridged", "0:00"))
        terminal.wait_for(in_table("bridged", "0:01"))
        terminal.type(CTRL_C)
        terminal.finish()


def test_what_is_waited_for_has_a_spinner(cm: Sandbox) -> None:
    """Ringing, and connecting again; and the spinner turns."""
    cm.script_dial(ring=500)
    with Terminal([*TELEPHONY, "dial"], account(cm)) as terminal:
        first = terminal.wait_text("waiting for +18005551234 to answer", "ringing")
        frame = next(row[0] for row in first if "waiting for" in row)
        terminal.wait_for(
            lambda rows: any(row[1:].startswith(" waiting for") and row[0] != frame for row in rows)
        )
        terminal.type(CTRL_C)
        terminal.wait_text("interrupted: hanging up as soon as it can be")
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()
        assert not terminal.cursor_hidden


def test_a_lost_connection_is_waited_for(cm: Sandbox) -> None:
    """That it is being made again stands below the table, until it is."""
    with Terminal(LISTEN, account(cm)) as terminal:
        terminal.wait_text("listening")
        cm.stop()
        terminal.wait_text("connecting again")
        cm.start()
        rows = terminal.wait_text("again, session")
        terminal.wait_for(lambda rows: not any("connecting again" in row for row in rows))
        assert any("disconnected" in row for row in rows)
        terminal.type(CTRL_C)
        terminal.finish()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_leave_the_terminal_tidy(cm: Sandbox, number: signal.Signals) -> None:
    """As Ctrl-C does: the table is gone, and the cursor stands at the beginning of a line."""
    with Terminal(LISTEN, account(cm)) as terminal:
        terminal.wait_text("listening")
        cm.incoming(to=DID, from_=CALLER)
        terminal.wait_for(in_table("bridged"))
        os.kill(terminal.pid, number)
        assert 130 == terminal.finish()

        assert not terminal.cursor_hidden
        left = terminal.screen()
        assert [] == [row for row in left if CALLER in row and "->" not in row]
        assert any("disconnected" in row for row in left)
        assert terminal.raw.endswith((b"\n", b"\x1b[?25h", b"\x1b[2K"))


def test_a_killed_program_leaves_the_cursor(cm: Sandbox) -> None:
    """Nothing can be put right then, so it is never hidden for longer than a moment."""
    with Terminal(LISTEN, account(cm)) as terminal:
        terminal.wait_text("listening")
        os.kill(terminal.pid, signal.SIGKILL)
        terminal.finish()

        assert not terminal.cursor_hidden


def test_a_terminal_that_goes_away(cm: Sandbox) -> None:
    """Where no signal tells of it, the next picture does: it ends, with nothing to say."""
    master, slave = pty.openpty()
    env = account(cm, TERM="xterm-256color")
    with subprocess.Popen(
        LISTEN, env=env, stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE
    ) as program:
        os.close(slave)
        shown = b""
        while b"listening" not in shown:
            shown += os.read(master, 65536)
        os.close(master)
        try:
            _, stderr = program.communicate(timeout=SECONDS)
        finally:
            program.kill()

    assert (1, b"") == (program.returncode, stderr)


def test_narrower_while_it_runs(cm: Sandbox) -> None:
    """Nothing of the old picture is left, and the lines are there again."""
    with Terminal(LISTEN, account(cm), columns=120) as terminal:
        terminal.wait_text("listening")
        cm.incoming(to=DID, from_=CALLER)
        terminal.wait_for(in_table("bridged"))
        terminal.resize(50, 24)

        def one_picture(rows: list[str]) -> bool:
            return (
                not any("last event" in row for row in rows)  # there is no room for it
                and ["listening for" in row for row in filled(rows)][-1:] == [True]
                and 1 == len(headings(rows))
                and 1 == len([row for row in rows if "listening for" in row])
                and any("call_incoming" in row for row in rows)
            )

        terminal.wait_for(one_picture)
        # Real terminals break the old picture's lines in two, pyte cuts them: so all is cleared.
        assert b"\x1b[2J" in terminal.raw
        terminal.resize(100, 30)
        terminal.wait_for(lambda rows: any("last event" in row for row in rows))
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()


@pytest.mark.parametrize("columns", [20, 32, 45, 62, 79])
def test_narrow_terminals(cm: Sandbox, columns: int) -> None:
    """State and number are still there, and no row of the table is broken in two."""
    with Terminal(LISTEN, account(cm), columns=columns) as terminal:
        terminal.wait_for(lambda rows: any("listening" in row for row in rows))
        cm.incoming(to=DID, from_=CALLER)
        terminal.wait_for(
            lambda rows: any("bridged" in row and DID[:8] in row for row in filled(rows)[-3:])
        )
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()


def test_no_colours_when_they_are_not_wanted(cm: Sandbox) -> None:
    """NO_COLOR set to anything: no sequence for a colour is written, and the view is there."""
    coloured = re.compile(rb"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;)[0-9;]*m")
    seen = {}
    for more in ({}, {"NO_COLOR": "1"}):
        with Terminal([*TELEPHONY, "demo"], environment(**more)) as terminal:
            assert 0 == terminal.finish()
            assert "All went well" in terminal.scrolled()
            seen[bool(more)] = coloured.search(terminal.raw)

    assert seen[False] and not seen[True]


def test_a_terminal_without_utf_8(cm: Sandbox) -> None:
    """Only ASCII is written, and what is not is written as an escape."""
    env = account(cm) | {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env["PYTHONIOENCODING"] = "ascii"
    with Terminal(LISTEN, env) as terminal:
        terminal.wait_text("listening")
        cm.incoming(to=DID, from_="+1555⅓7654321")
        terminal.wait_for(lambda rows: any("bridged" in row and "->" not in row for row in rows))
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()

        assert terminal.raw.isascii()
        assert r"+1555\u21537654321 ->" in terminal.scrolled().replace("\n", "")


def test_a_terminal_that_can_only_print(cm: Sandbox) -> None:
    """TERM=dumb: plain lines, without any sequence."""
    with Terminal(LISTEN, account(cm), term="dumb") as terminal:
        terminal.wait_text("> listen")
        cm.incoming(to=DID, from_=CALLER)
        terminal.wait_text("agora_bridge_start")
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()

        assert b"\x1b" not in terminal.raw


def test_without_rich(tmp_path, cm: Sandbox) -> None:
    """The extra is not needed: plain lines."""
    (tmp_path / "rich.py").write_text("raise ImportError('not here')")
    with Terminal(LISTEN, account(cm, PYTHONPATH=str(tmp_path))) as terminal:
        terminal.wait_text("> listen")
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()

        assert b"\x1b" not in terminal.raw


def test_json_at_a_terminal(cm: Sandbox) -> None:
    """``--json`` holds there too."""
    with Terminal([*LISTEN, "--json"], account(cm), columns=200) as terminal:
        terminal.wait_text('"step": "listen"')
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()

        assert b"\x1b" not in terminal.raw


def test_strangers_cannot_write_to_the_screen(scripted: ScriptedCM) -> None:
    """Neither escape sequences nor markup in numbers and reasons are obeyed."""
    env = environment(CM_HOST=scripted.url, AUTH_TOKEN="Basic eA==", APPID="APP")
    with Terminal([*TELEPHONY, "listen"], env, columns=160) as terminal:
        line = scripted.line()
        line.greet()
        terminal.wait_text("listening")
        number = "\x1b[2J\x1b]0;mine\x07[red]1[/red][/]:bomb:\u202e"
        line.event("call_incoming", "call-1", **{"from": number, "to": DID})
        line.event("call_hangup", "call-2", hangup_cause="\x1b[31m[/bold]\r\n")
        shown = "?[2J?]0;mine?[red]1[/red][/]:bomb:? -> +18005550100"
        rows = terminal.wait_text(shown, "?[31m[/bold]??")
        assert any("connected" in row for row in rows), "the screen was not cleared"
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()

        assert b"\x1b]0;" not in terminal.raw
        assert b"\x1b[31m[/bold]" not in terminal.raw


def test_more_calls_than_there_is_room_for(cm: Sandbox) -> None:
    """The newest are shown, the others counted, and the lines keep their half of the screen."""
    with Terminal(LISTEN, account(cm), lines=20) as terminal:
        terminal.wait_text("listening")
        for number in range(12):
            cm.incoming(to=DID, from_=f"+155500000{number:02}")
        terminal.wait_text("and 5 more", "+15550000011")
        # It takes as many lines to fill the upper half.
        terminal.wait_for(lambda rows: 8 <= min(headings(rows), default=0))
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()


def test_errors_and_the_log_are_above_the_table(cm: Sandbox) -> None:
    """A complaint does not break the picture, and the log's lines neither."""
    cm.refuse("callid not found", action="accept")
    with Terminal([*LISTEN, "-v"], account(cm), columns=120) as terminal:
        terminal.wait_text("listening", "connecting -> connected")
        cm.incoming(to=DID, from_=CALLER)
        terminal.wait_text("telephony: the CM refused accept")
        terminal.wait_for(lambda rows: any("listening" in row for row in filled(rows)[-1:]))
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()


def test_check_at_a_terminal(cm: Sandbox) -> None:
    """Steps and result, in lines that stay."""
    with Terminal([*TELEPHONY, "check"], account(cm), columns=120) as terminal:
        assert 0 == terminal.finish()
        text = terminal.scrolled()
    assert re.search(r"dns +ok\ntcp +ok\nupgrade +ok\nregister +ok\n", text)
    assert re.search(r"registered as cli-test in [\d.]+ ms, session [-0-9a-f]{36}", text)
    assert re.search(r"latency: [\d.]+ ms, the median of 5 subscribe requests", text)
