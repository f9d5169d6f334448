"""The documents render as they are, for the package index too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.rst import CHANGELOG, PERFORMANCE, PROMISES, README, ROOT, read


DOCUMENTS = [README, CHANGELOG, PROMISES, PERFORMANCE]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_docutils_has_nothing_to_complain_of(path: Path) -> None:
    """Not a warning comes from plain docutils, which knows no directives but its own."""
    assert "" == read(path)[1]


def test_the_promises_are_those_of_the_readme() -> None:
    """They are taken from there, and what shows them is in the tree."""
    text = read(PROMISES)[0].astext()
    assert "Every blocking method returns or raises within its timeout plus half" in text
    assert "Errors" not in text.split("What shows them")[0]
    for path in set(re.findall(r"tests/[a-z_/]+(?:\.py)?", PROMISES.read_text("utf-8"))):
        parent, _, beginning = path.rpartition("/")  # a name may be cut short: test_05…
        assert list((ROOT / parent).glob(f"{beginning}*")), path


def test_what_performance_names_is_there() -> None:
    """Its pictures, the files of the library, and the options of the command."""
    text = PERFORMANCE.read_text("utf-8")
    for picture in re.findall(r"image:: (\S+)", text):
        assert (PERFORMANCE.parent / picture).read_text("utf-8").startswith("<svg"), picture
    for path in set(re.findall(r"``((?:runtime|protocol)/[a-z]+\.py|[a-z]+\.py)``", text)):
        assert (ROOT / "telephony" / path).is_file(), path
    command = [sys.executable, "-m", "tests.bench", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    options = set(re.findall(r"tests\.bench +(--[a-z]+)", text))
    assert {"--quick", "--only", "--scaling"} == options
    assert [] == [option for option in options if option not in told]


def test_complaints_are_heard(tmp_path: Path) -> None:
    """The test above can fail: a broken document is complained of."""
    broken = tmp_path / "broken.rst"
    broken.write_text(".. autoclass:: Client\n\n`nowhere`_\n", "utf-8")
    complaints = read(broken)[1]
    assert "autoclass" in complaints
    assert "nowhere" in complaints


def test_version_is_in_the_changelog() -> None:
    """The changelog begins with the version that the package has."""
    from telephony import __version__

    sections = [line for line in CHANGELOG.read_text("utf-8").splitlines() if line[:1].isdigit()]
    assert __version__ == sections[0].split()[0]
