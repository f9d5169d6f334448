"""docs/howto/testing.rst: its tests pass, in a pytest of their own."""

from __future__ import annotations

from tests.docs import shell
from tests.docs.drivers import PartOf
from tests.docs.play import Output, Play, passes_as_a_test_suite
from tests.docs.rst import Block, blocks

#: each is a file of the suite that `phone` runs with the app
placing = incoming = faults = environ = replay = PartOf("phone")


def phone(block: Block, play: Play, output: Output) -> None:
    """All tests of the page pass, that of the recording too; the app's mistakes make them fail."""
    record(play.other(block, "record"), play, output)
    tests = [each for each in blocks(block.page) if each.caption.startswith("test_")]
    play.write(*tests)
    assert 5 == len(tests)
    passes_as_a_test_suite(play.folder, sum(each.text.count("def test_") for each in tests))

    (play.folder / block.caption).write_text(block.text.replace("with call:", "if True:"))
    code, lines, _ = play.shell("python -m pytest -q -p no:cacheprovider test_placing.py")
    told = "\n".join(lines)
    assert 1 == code
    assert "1 failed, 1 passed" in lines[-1] and "was not hung up" in told
    _, heading, sent = told.partition("telephony: sent by clients")
    assert heading and "an-rtc-token" not in sent


def install(block: Block, play: Play, output: Output) -> None:
    """The extra is there."""
    shell.exists(block.text)


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
