"""docs/understand/threads.rst."""

from __future__ import annotations

from telephony import CallAnswered, CallHangup
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.scripted import Recorded

NUMBERS = {"to": "+18005550001", "from_": "+15559876543"}


def conversation(block: Block, play: Play, output: Output) -> None:
    """One caller is asked for a PIN and hung up on, another leaves before."""
    cm = play.start()
    played = play.run(block)
    client = played.client(cm)
    ends = Recorded()
    client.on(CallHangup, ends)  # told once the callback that talks has returned
    caller = cm.incoming(**NUMBERS)
    assert caller.wait_accepted(SECONDS)
    cm.wait_for_command("accept")
    caller.press("4711")
    assert "NORMAL_CLEARING" == caller.wait_ended(SECONDS)
    ends.next()
    impatient = cm.incoming(**NUMBERS)
    assert impatient.wait_accepted(SECONDS)
    impatient.hang_up()
    ends.next()
    played.close()
    assert "pin: 4711\nthe caller was faster\n" == output()


def deadlock(block: Block, play: Play, output: Output) -> None:
    """The callback waits in vain for the one behind it, and the wait tells the truth."""
    cm = play.start()
    played = play.run(block)
    behind = Recorded()
    played.client(cm).on(CallAnswered, behind)
    assert cm.incoming(**NUMBERS).wait_accepted(SECONDS)
    behind.next()
    played.close()
    assert "heard of it: False\nanswered: True\n" == output()


def forked(block: Block, play: Play, output: Output) -> None:
    """Child and parent print what stands below it."""
    play.start()
    play.write(block)
    code, lines = play.python(block.caption).finish()
    assert (0, play.other(block, "forked-output").text.splitlines()) == (code, lines)


def forked_output(block: Block, play: Play, output: Output) -> None:
    """The program above is compared with it; no line of it is made up by the page."""
    program = play.other(block, "forked").text
    assert len(block.text.splitlines()) == program.count("print(")
