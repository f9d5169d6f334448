"""docs/project/contributing.rst."""

from __future__ import annotations

import os

from tests.docs import shell
from tests.docs.play import Output, Play
from tests.docs.rst import ROOT, Block


def install_editable(block: Block, play: Play, output: Output) -> None:
    """The commands and the extras are there."""
    shell.exists(block.text)


def all_checks(block: Block, play: Play, output: Output) -> None:
    """It can be run."""
    assert os.access(ROOT / block.text, os.X_OK)


def parts(block: Block, play: Play, output: Output) -> None:
    """They can be run, and the checks run them."""
    checks = "".join(file.read_text("utf-8") for file in (ROOT / ".ci").iterdir())
    install, distributed, browser = shell.commands(block.text)
    for script in (*install, *distributed):
        assert os.access(ROOT / script, os.X_OK)
        assert script in checks
    assert " ".join([*browser[:4], "-q", *browser[4:]]) in checks
    assert (ROOT / browser[-1]).is_file()


def build_docs(block: Block, play: Play, output: Output) -> None:
    """The checks do the same, into a folder of their own."""
    checks = "".join(file.read_text("utf-8") for file in (ROOT / ".ci").iterdir())
    graphviz, install, build, links = block.text.splitlines()
    assert graphviz.startswith("apt-get install ")
    assert f"missing+=({graphviz.split()[-1]})" in checks
    assert "[docs]" in install and 'docs]"' in checks
    shell.exists(install)
    assert build.removesuffix(" docs docs/_build/html") in checks
    assert links.removesuffix(" docs/_build/html") in checks
    shell.exists(links)
