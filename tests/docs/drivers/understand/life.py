"""docs/understand/life.rst."""

from __future__ import annotations

from tests.docs.play import Output, Play
from tests.docs.rst import Block


def states(block: Block, play: Play, output: Output) -> None:
    """It prints what stands below it."""
    play.run(block).finish()
    assert play.other(block, "states-output").text + "\n" == output()


def states_output(block: Block, play: Play, output: Output) -> None:
    """The program above is compared with it; each of its events is of the usual way."""
    states = [line.partition(" -> ")[2] for line in block.text.splitlines()]
    assert ["ringing", "ringing", "answered", "bridged", "unbridged", "hangup"] == states
