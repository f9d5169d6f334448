"""docs/start/install.rst."""

from __future__ import annotations

from tests.docs import shell
from tests.docs.play import Output, Play
from tests.docs.rst import Block


def install(block: Block, play: Play, output: Output) -> None:
    """The extra is there, and what is installed says its version; .ci/run installs it."""
    shell.exists(block.text)
    assert "telephony --version" == block.text.splitlines()[-1]
    code, lines, stderr = play.shell("telephony --version")
    assert 0 == code, stderr
    assert lines[0].startswith("telephony ")


def demo(block: Block, play: Play, output: Output) -> None:
    """Three calls, and all goes well."""
    code, lines, stderr = play.shell(block.text)
    assert 0 == code, stderr
    assert '"ok": true' in lines[-1] and '"rejected": 1' in lines[-1]
