"""docs/promises.rst."""

from __future__ import annotations

from tests.docs import shell
from tests.docs.play import Output, Play
from tests.docs.rst import Block


def over_the_librarys_socket(block: Block, play: Play, output: Output) -> None:
    """There are such tests. That they fail there depends on the machine."""
    shell.exists(block.text)
