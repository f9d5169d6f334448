"""docs/index.rst."""

from __future__ import annotations

from tests.docs import shell
from tests.docs.play import Output, Play
from tests.docs.rst import Block


def demo(block: Block, play: Play, output: Output) -> None:
    """The command and the extra are there; the demo itself is run in ``tests/cli``."""
    shell.exists(block.text)
