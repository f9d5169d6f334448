"""docs/start/first-call.rst."""

from __future__ import annotations

import signal

from tests.docs import shell
from tests.docs.play import Output, Play
from tests.docs.rst import Block


def first_call(block: Block, play: Play, output: Output) -> None:
    """It prints what stands below it."""
    play.run(block).finish()
    assert play.other(block, "first-output").text + "\n" == output()


def run_it(block: Block, play: Play, output: Output) -> None:
    """The command runs the file, which prints what stands below it."""
    play.write(play.other(block, "first-call"))
    code, lines, stderr = play.shell(block.text)
    assert (0, "") == (code, stderr)
    assert play.other(block, "first-output").text.splitlines() == lines


def first_output(block: Block, play: Play, output: Output) -> None:
    """The programs above are compared with it; no line of it is made up by the page."""
    program = play.other(block, "first-call").text
    assert len(block.text.splitlines()) == program.count("print(")


def busy(block: Block, play: Play, output: Output) -> None:
    """It prints what stands below it."""
    play.run(block).finish()
    assert play.other(block, "busy-output").text + "\n" == output()


def busy_output(block: Block, play: Play, output: Output) -> None:
    """The program above is compared with it."""
    program = play.other(block, "busy").text
    assert len(block.text.splitlines()) == program.count("print(")


def sandbox(block: Block, play: Play, output: Output) -> None:
    """It prints what the next commands read."""
    running = play.program(*block.text.split())
    names = {shell.exported(running.line())[0] for _ in range(8)}
    assert {"CM_HOST", "AUTH_TOKEN", "APPID", "TO_NUMBER", "FROM_NUMBER", "REGION"} <= names
    running.interrupt(signal.SIGINT)
    assert (0, []) == running.finish()


def with_the_sandbox(block: Block, play: Play, output: Output) -> None:
    """Both go to the sandbox, and end well."""
    cm = play.start()
    code, _, stderr = play.shell(block.text, TO_NUMBER="+18005551234", FROM_NUMBER="+15551234567")
    assert 0 == code, stderr
    actions = [frame["action"] for frame in cm.frames]
    assert 2 == actions.count("register")
    assert ["outbound", "send_dtmf", "endcall"] == actions[-3:]


def from_env(block: Block, play: Play, output: Output) -> None:
    """It calls with nothing but what the sandbox has printed."""
    cm = play.start()
    play.write(block)
    usual = {"TO_NUMBER": "+18005551234", "FROM_NUMBER": "+1555", "REGION": "AREA_CODE_NA"}
    program = play.python(block.caption, **usual)
    assert (0, ["over: NORMAL_CLEARING"]) == program.finish(), program.stderr
    assert ["endcall"] == [call.ended_by for call in cm.calls]
