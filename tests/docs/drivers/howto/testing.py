"""docs/howto/testing.rst: its tests pass, in a pytest of their own."""

from __future__ import annotations

from telephony.sandbox import DEFAULT_AUTH_TOKEN
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


APP = """
from telephony import Client, DialFailedError

client = Client.from_env()

def ring():
    client.connect()
    try:
        return client.dial(to="+18005551234", from_="+15551234567", channel="room", uid="100",
                           token="t", region="AREA_CODE_NA")
    except DialFailedError as error:
        return error.reason
"""
TESTS = """
import app

def test_busy(telephony_sandbox):
    telephony_sandbox.script_dial("busy")
    assert app.ring() == "Busy"

def test_answered(telephony_sandbox):
    app.ring()
    telephony_sandbox.assert_dialed(times=1)

def test_nothing_is_left(telephony_sandbox):
    assert app.client.connected and telephony_sandbox.calls == telephony_sandbox.frames == []
"""


def shared(block: Block, play: Play, output: Output) -> None:
    """An app whose client is made at import has one sandbox for all tests, as new for each."""
    play.write(block)
    (play.folder / "app.py").write_text(APP)
    (play.folder / "test_app.py").write_text(TESTS)
    passes_as_a_test_suite(play.folder, 3)


def install(block: Block, play: Play, output: Output) -> None:
    """The extra is there."""
    shell.exists(block.text)


def record(block: Block, play: Play, output: Output) -> None:
    """There is a recording then, without the number."""
    play.write(play.other(block, "phone"), block)
    program = play.python(block.caption)
    assert (0, ["None"]) == program.finish(), program.stderr
    recorded = (play.folder / "incident.jsonl").read_text()
    assert '"Busy"' in recorded
    assert "18005551234" not in recorded and DEFAULT_AUTH_TOKEN not in recorded
