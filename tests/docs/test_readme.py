"""README.rst begins with two commands, and they are what is run."""

from __future__ import annotations

import configparser
import importlib.metadata
import re

import pytest

from tests.docs.rst import README, ROOT, blocks


def test_telephony_is_installed_as_a_command() -> None:
    """The command of the shell blocks is one that installing the package makes."""
    scripts = importlib.metadata.entry_points(group="console_scripts", name="telephony")
    assert ["telephony.cli:main"] == [script.value for script in scripts]


TWO = ('pip install ".[sandbox]" && telephony demo', 'pip install ".[test]" && pytest')


def test_two_commands_stand_at_the_top() -> None:
    """They come first, in exactly this form, after one or two sentences."""
    assert "two-commands" == blocks(README)[0].name
    assert "\n".join(TWO) == blocks(README)[0].text
    text = README.read_text("utf-8")
    assert "\n" + "".join(f"    {command}\n" for command in TWO) in text
    before = text.partition(".. code-block")[0].split("\n", 2)[2]
    assert 1 <= len(re.findall(r"[.:](?=\s)", before)) <= 2


def test_two_commands_name_extras_that_exist() -> None:
    """What they install in brackets is in the package's metadata."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    extras = re.findall(r'"\.\[(\w+)\]"', " ".join(TWO))
    assert ["sandbox", "test"] == extras
    assert set(extras) <= set(settings["options.extras_require"])


@pytest.mark.skipif(not (ROOT / ".ci" / "run").exists(), reason="not a checkout: no .ci/run")
def test_the_checks_run_the_two_commands() -> None:
    """.ci/run gives both in the same words."""
    checks = (ROOT / ".ci" / "run").read_text("utf-8")
    assert [] == [command for command in TWO if command not in checks]
