"""The documents render as they are, for the package index too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.rst import CHANGELOG, README, read


@pytest.mark.parametrize("path", [README, CHANGELOG], ids=lambda path: path.name)
def test_docutils_has_nothing_to_complain_of(path: Path) -> None:
    """Not a warning comes from plain docutils, which knows no directives but its own."""
    assert "" == read(path)[1]


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
