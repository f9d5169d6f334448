"""docs/performance.rst."""

from __future__ import annotations

from tests.docs import shell
from tests.docs.play import Output, Play
from tests.docs.rst import Block


def commands(block: Block, play: Play, output: Output) -> None:
    """They can be asked for help; .ci/run runs the shortest."""
    shell.exists(block.text)
