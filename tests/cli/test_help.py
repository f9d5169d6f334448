"""``--help``: pages that fit a terminal, whose examples work."""

from __future__ import annotations

import shlex

import pytest

from telephony.cli import main
from telephony.cli.arguments import parser
from telephony.cli.commands import COMMANDS
from telephony.cli.environment import VARIABLES
from telephony.cli.pages import PAGES, WIDTH

EXAMPLES = [(name, example) for name, page in PAGES.items() for example in page.examples]


def page_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert 0 == ended.value.code
    return capsys.readouterr().out


def test_every_command_has_a_page() -> None:
    assert list(COMMANDS) == list(PAGES)


def test_the_page_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    """It names every command with its summary, and every variable."""
    text = page_of(capsys)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert [] == [name for name, page in PAGES.items() if f"{name} {page.summary}" not in lines]
    assert [] == [name for name in VARIABLES if f"\n  {name} " not in text]
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("columns", ["40", "200"])
def test_pages(
    name: str, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has what it does, examples, and exit codes, at 80 columns whatever the terminal's."""
    monkeypatch.setenv("COLUMNS", columns)
    text = page_of(capsys, name)
    parts = ["usage: telephony " + name, "options:", "examples:", "exit codes:"]
    assert parts == sorted(parts, key=text.index)
    assert all(f"\n  {code} " in text for code in (0, 1, 2, 130))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.isascii()


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[e for _, e in EXAMPLES])
def test_examples_are_understood(name: str, example: str) -> None:
    """Every example is a command line that this version takes."""
    program, *words = shlex.split(example)
    arguments = words[: words.index(">")] if ">" in words else words
    assert ("telephony", name) == (program, parser().parse_args(arguments).command)


def test_variables_of_the_pages_are_known() -> None:
    used = {name for page in PAGES.values() for name in page.variables}
    assert set(VARIABLES) == used


def test_what_the_timeout_of_a_check_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Not for each of its steps: they are one connect."""
    page = " ".join(page_of(capsys, "check").split())

    assert "for connecting, dns to register, and for each question after it" in page
