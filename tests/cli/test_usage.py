"""Arguments and variables that are wrong: one line, exit code 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from telephony import __version__
from telephony.cli import main
from telephony.sandbox import Sandbox
from tests.cli.programs import OURS, TELEPHONY, account, environment, run

ELSEWHERE = {
    "CM_HOST": "nowhere.invalid",
    "AUTH_TOKEN": "Basic eA==",
    "APPID": "app",
    "TO_NUMBER": "+1800",
    "FROM_NUMBER": "+1555",
}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["dial", "--seconds", "soon"],
        ["dial", "--seconds", "0"],
        ["dial", "--digits", "12a"],
        ["dial", "--token", "secret"],
        ["check", "--auth-token", "secret"],
        ["listen", "--accept", "room", "--reject", "no"],
        ["sandbox", "--port", "70000"],
        ["demo", "extra"],
    ],
)
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """argparse says what is wrong; secrets are no arguments."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    out, err = capsys.readouterr()
    assert (2, "") == (ended.value.code, out)
    assert "error: " in err.splitlines()[-1]


def test_usage_as_a_program() -> None:
    """The exit code is the process's."""
    code, lines, stderr = run([*TELEPHONY, "dial", "--seconds", "soon"], environment())

    assert (2, []) == (code, lines)
    assert "invalid seconds value: 'soon'" in stderr


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("check", ["CM_HOST", "AUTH_TOKEN", "APPID"]),
        ("listen", ["CM_HOST", "AUTH_TOKEN", "APPID"]),
        (
            "dial",
            ["CM_HOST", "AUTH_TOKEN", "APPID", "TO_NUMBER (or --to)", "FROM_NUMBER (or --from)"],
        ),
    ],
)
def test_missing_variables_are_named(command: str, names: list[str]) -> None:
    """All of them, in one line."""
    code, lines, stderr = run([*TELEPHONY, command], environment(APPID="  "))

    assert (2, []) == (code, lines)
    assert f"telephony: {', '.join(names)} must be set in the environment\n" == stderr


def test_only_what_is_missing_is_named(cm: Sandbox) -> None:
    """What is set is not complained of."""
    env = account(cm)
    del env["TO_NUMBER"]
    _, _, stderr = run([*TELEPHONY, "dial"], env)

    assert "telephony: TO_NUMBER (or --to) must be set in the environment\n" == stderr


@pytest.mark.parametrize(
    ("command", "variables", "name"),
    [
        (["check"], {"CM_HOST": "http://nowhere.invalid"}, "CM_HOST"),
        (["check"], {"CM_HOST": "ws://nowhere.invalid"}, "CM_HOST"),
        (["check"], {"AUTH_TOKEN": "a\x01b"}, "AUTH_TOKEN"),
        (["check"], {"CLIENT_ID": " "}, "CLIENT_ID"),
        (["dial"], {"TO_NUMBER": "+1\x01"}, "TO_NUMBER"),
        (["dial"], {"REGION": "\x01N"}, "REGION"),
        (["listen", "--uid", "me"], {}, "--uid"),
        (["listen", "--accept", ""], {}, "--accept"),
        (["dial", "--uid", "a\x01b"], {}, "--uid"),
        (["check"], {"CM_HOST": "ws://nowhere.invalid"}, "or pass --allow-insecure to"),
        (["listen", "--record", "/"], {}, "--record: cannot record to '/'"),
        (["sandbox", "--did", "shop"], {}, "--did: "),
    ],
)
def test_wrong_variables_are_named(
    command: list[str],
    variables: dict[str, str],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is sent: nobody could be reached at this address."""
    for variable in OURS:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in (ELSEWHERE | variables).items():
        monkeypatch.setenv(variable, value)
    code = main(command)

    out, err = capsys.readouterr()
    assert (2, "") == (code, out)
    assert 1 == len(err.splitlines())
    assert err.startswith("telephony: ") and name in err


def test_cleartext_to_another_machine_when_allowed() -> None:
    """The option lets it get as far as the name that is not found."""
    env = environment(**ELSEWHERE | {"CM_HOST": "ws://nowhere.invalid"})
    code, lines, _ = run([*TELEPHONY, "check", "--allow-insecure"], env)

    assert 1 == code
    assert '"phase": "dns"' in lines[-1]


def test_version_and_help() -> None:
    """Both are for the standard output."""
    assert (0, [f"telephony {__version__}"], "") == run([*TELEPHONY, "--version"], environment())
    code, lines, _ = run([*TELEPHONY, "--help"], environment())
    text = "\n".join(lines)
    assert 0 == code
    assert [] == [c for c in ("demo", "check", "dial", "listen", "sandbox") if c not in text]


def test_the_console_script() -> None:
    """``telephony`` is the same program."""
    script = Path(TELEPHONY[0]).with_name("telephony")
    if not script.exists():  # the package is on the path and not installed
        pytest.skip("the console script is not installed beside this interpreter")
    assert os.access(script, os.X_OK)
    assert (0, [f"telephony {__version__}"], "") == run([str(script), "--version"], environment())
