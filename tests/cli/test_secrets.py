"""Secrets come from the environment or from whoever sits there, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from telephony.cli import main
from telephony.sandbox import Sandbox
from tests.cli.programs import TELEPHONY, Program, account, run
from tests.cli.terminal import CTRL_C, Terminal

SECRET = "hunter2x"


@pytest.mark.parametrize("command", ["demo", "check", "dial", "listen", "sandbox", "replay"])
@pytest.mark.parametrize(
    ("option", "variable"),
    [
        ("--auth-token", "AUTH_TOKEN"),
        ("--token", "RTC_TOKEN"),
        ("--rtc-token", "RTC_TOKEN"),
        ("--sip", "SIP"),
    ],
)
@pytest.mark.parametrize("form", ["{0} {1}", "{0}={1}", "{0}"])
def test_as_an_argument_it_is_refused(
    command: str, option: str, variable: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is said names where it belongs, and does not repeat it."""
    with pytest.raises(SystemExit) as ended:
        main([command, *form.format(option, SECRET).split(" ")])

    out, err = capsys.readouterr()
    assert (2, "") == (ended.value.code, out)
    assert f"environment variable {variable}" in err
    assert SECRET not in err


def test_the_list_of_processes_shows_none(cm: Sandbox) -> None:
    """What others can read of a command at work."""
    env = account(cm, SIP=f"trunk.example;password={SECRET}")
    with Program([*TELEPHONY, "dial"], env) as program:
        program.event("agora_bridge_start")
        shown = Path(f"/proc/{program.pid}/cmdline").read_bytes().decode()
        program.interrupt()
        program.finish()

    assert [*TELEPHONY, "dial"] == shown.split("\0")[:-1]
    secrets = (cm.auth_token.split()[1], "rtc-token-1", SECRET)
    assert [] == [secret for secret in secrets if secret in shown]


def test_it_is_asked_for_at_a_terminal(cm: Sandbox) -> None:
    """Where only AUTH_TOKEN is missing; nothing typed is shown, and it is taken."""
    env = account(cm)
    del env["AUTH_TOKEN"]
    with Terminal([*TELEPHONY, "check"], env, columns=120) as terminal:
        terminal.wait_text("AUTH_TOKEN (its credentials, 'Basic ...'; not shown):")
        terminal.type(cm.auth_token.encode() + b"\r")
        assert 0 == terminal.finish()

        text = terminal.scrolled()
        shown = terminal.raw.decode()
    assert "registered as cli-test" in text
    assert cm.auth_token.split()[1] not in shown


def test_nothing_typed(cm: Sandbox) -> None:
    """Then it is missing."""
    env = account(cm)
    del env["AUTH_TOKEN"]
    with Terminal([*TELEPHONY, "check"], env) as terminal:
        terminal.wait_text("not shown")
        terminal.type(b"\r")
        assert 2 == terminal.finish()

        assert "AUTH_TOKEN must be set in the environment" in terminal.scrolled()


def test_ctrl_c_where_it_is_asked_for(cm: Sandbox) -> None:
    """It ends as anywhere else, and the terminal shows again what is typed."""
    env = account(cm)
    del env["AUTH_TOKEN"]
    with Terminal([*TELEPHONY, "check"], env) as terminal:
        terminal.wait_text("not shown")
        terminal.type(CTRL_C)
        assert 130 == terminal.finish()
        assert terminal.echoes


def test_it_is_not_asked_for_elsewhere(cm: Sandbox) -> None:
    """A program that waited for somebody to type would wait for ever."""
    env = account(cm)
    del env["AUTH_TOKEN"]
    code, lines, stderr = run([*TELEPHONY, "check"], env, terminal=True)

    assert (2, []) == (code, lines)
    assert "telephony: AUTH_TOKEN must be set in the environment\n" == stderr


def test_nor_with_more_missing(cm: Sandbox) -> None:
    """All that is missing is named at once."""
    env = account(cm)
    del env["AUTH_TOKEN"], env["APPID"]
    with Terminal([*TELEPHONY, "check"], env) as terminal:
        assert 2 == terminal.finish()

        assert "AUTH_TOKEN, APPID must be set in the environment" in terminal.scrolled()
