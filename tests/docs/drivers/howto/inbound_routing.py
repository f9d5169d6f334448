"""docs/howto/inbound-routing.rst."""

from __future__ import annotations

import signal

from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.docs.web import SETTINGS

CALLER = "+15559876543"


def routing(block: Block, play: Play, output: Output) -> None:
    """Each number goes its way; when closed, or where nobody is subscribed, the caller hears so."""
    cm = play.start()
    play.write(block)
    program = play.python(block.caption, OPEN="1", **SETTINGS)
    register = cm.wait_for_command("register")
    assert [f"+1800555000{n}" for n in (1, 2, 3)] == register["subscribe_numbers"]
    for number, channel in ((1, "sales"), (2, "support")):
        caller = cm.incoming(to=f"1 (800) 555-000{number}", from_=CALLER)
        assert caller.wait_accepted(SECONDS)
        assert f"{CALLER} -> {channel}" == program.line()
    assert "CALL_REJECTED" == cm.incoming(to="+18005550003", from_=CALLER).wait_ended(SECONDS)
    assert "no longer in service" == cm.wait_for_command("reject")["reason"]
    assert "UNALLOCATED_NUMBER" == cm.incoming(to="+18005550004", from_=CALLER).hangup_cause

    second = play.python(block.caption, OPEN="1", **SETTINGS)  # they share the load
    cm.wait_for_command("register")
    for _ in range(4):
        assert cm.incoming(to="+18005550001", from_=CALLER).wait_accepted(SECONDS)
    for each in (program, second):
        each.interrupt(signal.SIGTERM)
    assert [0, 0] == [each.finish()[0] for each in (program, second)]


def subscribe(block: Block, play: Play, output: Output) -> None:
    """Calls to the number that was added come too, and after a reconnect as well."""
    cm = play.start()
    play.write(block)
    program = play.python(block.caption)
    cm.wait_for_command("subscribe")
    cm.drop_connections()
    cm.wait_for_command("register")
    again = cm.wait_for_command("register")
    assert ["+18005550001", "+18005550002"] == again["subscribe_numbers"]
    caller = cm.incoming(to="+18005550002", from_=CALLER)
    assert "CALL_REJECTED" == caller.wait_ended(SECONDS)
    assert f"{CALLER} calls +18005550002" == program.line()
    program.interrupt(signal.SIGTERM)
    assert (0, []) == program.finish()
