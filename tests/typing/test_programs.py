"""What type checkers say of a user's programs, and of the package: the marked lines, no other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import attrs
import pytest

import telephony
from telephony import CallInfo, Client, Event
from telephony.config import ClientOptions
from telephony.handlers import Match

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"

#: The oldest Python that the package is for: it has the fewest words for types.
OLDEST = "3.10"

#: ``# error: CODE,CODE RULE,RULE``: what mypy and what pyright call what is wrong in this line.
MARK = re.compile(r"# error: (\S+) (\S+)$")

Found = dict[str, set[str]]


def marked() -> tuple[Found, Found]:
    """By ``file:line``, what mypy and what pyright are to say."""
    of_mypy: Found = {}
    of_pyright: Found = {}
    for path in sorted(PROGRAMS.glob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if mark := MARK.search(line):
                place = f"{path.name}:{number}"
                of_mypy[place], of_pyright[place] = (set(one.split(",")) for one in mark.groups())
    return of_mypy, of_pyright


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One in which type checkers find the package as it is installed.

    An editable install is put together by code that they do not run: there a copy of what would
    be installed stands for it.
    """
    variables = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    package = Path(telephony.__file__).parent
    if package.parent.name != "site-packages":
        site = tmp_path_factory.mktemp("site")
        shutil.copytree(package, site / "telephony", ignore=shutil.ignore_patterns("__pycache__"))
        variables["PYTHONPATH"] = str(site)
    return variables


def run(*command: str, environment: dict[str, str]) -> str:
    """What it prints; that it finds errors is no failure."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=environment, cwd=PROGRAMS, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_mypy(environment, tmp_path):
    """The right programs pass in strict mode, and each mistake is told where it is."""
    said = run(
        "mypy", "--strict", "--config-file=", f"--python-version={OLDEST}", "--no-error-summary",
        "--hide-error-context", "--no-pretty", f"--cache-dir={tmp_path}", ".",
        environment=environment,
    )  # fmt: skip
    found = defaultdict(set)
    for line in said.splitlines():
        name, number, kind, words = line.split(":", 3)
        if kind == " error":
            found[f"{name}:{number}"].add(words.rpartition("[")[2].rstrip("]"))
    assert marked()[0] == found, said


def test_mistakes_are_marked():
    """Or nothing would be compared."""
    of_mypy, of_pyright = marked()
    assert len(of_mypy) > 40
    assert {"wrong.py"} == {place.partition(":")[0] for place in of_mypy}


def test_the_options_are_the_clients():
    """What type checkers know of the options is what ``Client`` takes."""
    of_client = {
        name: kind for name, kind in Client.__init__.__annotations__.items()
        if name in (Client.__init__.__kwdefaults__ or {})
    }
    assert of_client == {
        name: kind.__forward_arg__ for name, kind in ClientOptions.__annotations__.items()
    }


def test_what_events_are_filtered_by():
    """What type checkers know of it are the fields of all events, and of ``CallInfo``."""
    kinds = [CallInfo, *(
        kind for kind in (getattr(telephony, name) for name in telephony.__all__)
        if isinstance(kind, type) and issubclass(kind, Event)
    )]
    fields = {field.alias for kind in kinds for field in attrs.fields(kind)}
    assert fields - {"sip_headers"} == set(Match.__annotations__)
