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


def build_docs(block: Block, play: Play, output: Output) -> None:
    """.ci/run does the same, in a folder of its own."""
    checks = (ROOT / ".ci" / "run").read_text("utf-8")
    for command in shell.commands(block.text):
        *words, last = command
        wanted = " ".join(words if "html" in last or "pip" in words else command)
        assert wanted in checks, wanted
