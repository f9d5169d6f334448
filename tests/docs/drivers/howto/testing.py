"""docs/howto/testing.rst: each block of tests passes, in a pytest of its own."""

from __future__ import annotations

from tests.docs import shell
from tests.docs.drivers import PartOf
from tests.docs.play import Output, Play, passes_as_a_test_suite
from tests.docs.rst import Block

phone = PartOf("placing")


def _passes(block: Block, play: Play) -> None:
    play.write(play.other(block, "phone"), block)
    passes_as_a_test_suite(play.folder, block.text.count("def test_"), block.caption)


def install(block: Block, play: Play, output: Output) -> None:
    """The extra is there."""
    shell.exists(block.text)


def placing(block: Block, play: Play, output: Output) -> None:
    """They pass, and one of them does not when the app forgets to hang up."""
    _passes(block, play)
    app = play.folder / "phone.py"
    app.write_text(app.read_text().replace("with call:", "if True:"))
    code, lines, _ = play.shell("python -m pytest -q -p no:cacheprovider test_placing.py")
    told = "\n".join(lines)
    assert 1 == code
    assert "1 failed, 1 passed" in lines[-1] and "was not hung up" in told
    _, heading, sent = told.partition("telephony: sent by clients")
    assert heading and "an-rtc-token" not in sent


def incoming(block: Block, play: Play, output: Output) -> None:
    """They pass."""
    _passes(block, play)


def faults(block: Block, play: Play, output: Output) -> None:
    """They pass."""
    _passes(block, play)


def environ(block: Block, play: Play, output: Output) -> None:
    """They pass."""
    _passes(block, play)


def record(block: Block, play: Play, output: Output) -> None:
    """There is a recording then, without the number."""
    cm = play.start()
    cm.script_dial("busy")
    play.write(play.other(block, "phone"), block)
    program = play.python(block.caption)
    assert (0, ["None"]) == program.finish(), program.stderr
    recorded = (play.folder / "incident.jsonl").read_text()
    assert '"Busy"' in recorded
    assert "18005551234" not in recorded and cm.auth_token not in recorded


def replay(block: Block, play: Play, output: Output) -> None:
    """The recording of the block above is a test that passes."""
    record(play.other(block, "record"), play, output)
    _passes(block, play)
