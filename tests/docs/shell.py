"""What stands in the shell blocks: that its commands exist, and know their options."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from typing import Callable

from tests.docs.play import COMMANDS
from tests.docs.rst import ROOT

#: the shell's own words, which are not looked for
BUILT_IN = ("export", "cd", ".")


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block as words, without comments and what is assigned before."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|&(?=\s*$|\s*#)", line):
            words = shlex.split(part, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                del words[0]
            if words:
                found.append(words)
    return found


def exported(line: str) -> tuple[str, str]:
    """The name and the value of ``export NAME=value``."""
    command, assignment = shlex.split(line)
    assert "export" == command
    name, _, value = assignment.partition("=")
    return name, value


def exists(text: str) -> None:
    """Each command can be asked for help, and each of its options is in there."""
    found = commands(text)
    assert found, "there is no command in this block"
    for program, *words in found:
        if program not in BUILT_IN:
            assert program in _KNOWN, f"nothing here knows the command {program}"
            _KNOWN[program](words)


def _options(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if re.match("--?[a-z]", word)]


def _help(command: list[str], options: list[str]) -> None:
    environ = {**os.environ, "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert [] == [option for option in options if option not in ran.stdout], command


def _telephony(words: list[str]) -> None:
    if words[0].startswith("-"):
        return _help(["telephony", *words], [])
    _help(["telephony", words[0], "--help"], _options(words))


def _python(words: list[str]) -> None:
    if words[0] != "-m":
        assert words[0].endswith(".py"), words
    elif words[1] != "venv":
        _help([sys.executable, "-m", words[1], "--help"], _options(words[2:]))


def _pip(words: list[str]) -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    extras = {extra for found in re.findall(r"\[([\w,]+)\]", " ".join(words)) for extra in
              found.split(",")}  # fmt: skip
    assert "install" == words[0]
    assert extras <= set(settings["options.extras_require"])


def _pytest(words: list[str]) -> None:
    if words:
        _help([sys.executable, "-m", "pytest", *words, "--collect-only", "-q"], [])


def _any(program: str) -> Callable[[list[str]], None]:
    return lambda words: _help([program, "--help"], _options(words))


_KNOWN: dict[str, Callable[[list[str]], None]] = {
    "telephony": _telephony,
    "python": _python,
    "python3": _python,
    "pip": _pip,
    "pytest": _pytest,
    "gunicorn": _any("gunicorn"),
    "flask": _any("flask"),
}
