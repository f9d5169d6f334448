"""docs/start/first-inbound-call.rst."""

from __future__ import annotations

import signal

from tests.docs import shell
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block

DID = "+18005550100"


def answer(block: Block, play: Play, output: Output) -> None:
    """It prints what stands below it."""
    play.run(block).finish()
    assert play.other(block, "answer-output").text + "\n" == output()


def answer_output(block: Block, play: Play, output: Output) -> None:
    """The program above is compared with it; one line of it is for callers who leave."""
    program = play.other(block, "answer").text
    assert len(block.text.splitlines()) + 1 == program.count("print(")


def service(block: Block, play: Play, output: Output) -> None:
    """It answers, survives that another was first, and ends at SIGTERM."""
    cm = play.start()
    play.write(block)
    program = play.python(block.caption, DID=DID)
    assert "connected" == program.line()
    cm.refuse("callid not found", action="accept")
    cm.incoming(to=DID, from_="+15559876543")
    cm.wait_for_command("accept")
    caller = cm.incoming(to=DID, from_="+15559876544")
    assert caller.wait_accepted(SECONDS)
    assert "answered +15559876544" == program.line()
    caller.press("5")
    assert "pressed 5" == program.line()
    caller.hang_up()
    assert "over NORMAL_CLEARING" == program.line()
    program.interrupt(signal.SIGTERM)
    assert (0, []) == program.finish()
    assert "" == program.stderr


def run_the_service(block: Block, play: Play, output: Output) -> None:
    """The command runs the file above."""
    assert f"python {play.other(block, 'service').caption}" == block.text


def phone_the_service(block: Block, play: Play, output: Output) -> None:
    """The call of this command comes out at the service, which prints what stands below."""
    sandbox = play.program("telephony", "sandbox")
    exported = dict(shell.exported(sandbox.line()) for _ in range(8))
    play.write(play.other(block, "service"))
    service = play.python("service.py", **exported)
    wanted = play.other(block, "service-output").text.splitlines()
    assert wanted[:1] == [service.line()] == ["connected"], service.stderr
    code, _, stderr = play.shell(block.text, **exported)
    assert 0 == code, stderr
    assert wanted[1:] == [service.line() for _ in wanted[1:]], service.stderr
    service.interrupt(signal.SIGTERM)
    assert (0, []) == service.finish()


def service_output(block: Block, play: Play, output: Output) -> None:
    """What the service prints for such a call, a line for each callback."""
    assert 4 == play.other(block, "service").text.count("print(") == len(block.text.splitlines())
