"""docs/start/install.rst names all extras that are for users."""

from __future__ import annotations

import configparser

from tests.docs.rst import DOCS, ROOT, read, sphinx, tables

#: for those who work on the package
OURS = {"dev", "docs", "test"}


def test_the_extras() -> None:
    """The table has each once, behind the row for none."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    with sphinx():
        named = tables(read(DOCS / "start" / "install.rst")[0])["extras"].first
    assert "(none)" == named[0]
    assert sorted(set(settings["options.extras_require"]) - OURS) == sorted(named[1:])
