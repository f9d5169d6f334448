"""docs/howto/go-sdk.rst."""

from __future__ import annotations

import signal

from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.docs.web import SETTINGS


def handler(block: Block, play: Play, output: Output) -> None:
    """Each method of the object is called, that for errors when the connection is lost."""
    cm = play.start()
    play.write(block)
    program = play.python(block.caption, **SETTINGS)
    assert "connected" == program.line()
    cm.refuse("callid not found", action="accept")
    cm.incoming(to="+18005550001", from_="+15559876543")
    cm.wait_for_command("accept")
    caller = cm.incoming(to="+18005550001", from_="+15559876544")
    assert caller.wait_accepted(SECONDS)
    assert "answered +15559876544" == program.line()
    caller.press("5")
    assert "pressed 5" == program.line()
    caller.hang_up()
    assert "over NORMAL_CLEARING" == program.line()
    cm.drop_connections()
    assert program.line().startswith("error: connection lost")
    assert "connected" == program.line()
    program.interrupt(signal.SIGTERM)
    assert (0, []) == program.finish()
