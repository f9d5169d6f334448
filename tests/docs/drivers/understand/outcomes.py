"""docs/understand/outcomes.rst."""

from __future__ import annotations

from tests.docs.play import Output, Play
from tests.docs.rst import Block


def orphan(block: Block, play: Play, output: Output) -> None:
    """It prints what stands below it."""
    play.run(block).finish()
    assert play.other(block, "orphan-output").text + "\n" == output()


def orphan_output(block: Block, play: Play, output: Output) -> None:
    """The program above is compared with it; no line of it is made up by the page."""
    program = play.other(block, "orphan").text
    assert len(block.text.splitlines()) == program.count("print(")
