"""docs/understand/reconnects.rst."""

from __future__ import annotations

from telephony import CallState, Connected
from tests.conftest import DIAL
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.scripted import Recorded


def gap(block: Block, play: Play, output: Output) -> None:
    """After an outage it hangs up what may be up: a call that is, and one that has ended."""
    cm = play.start()
    played = play.run(block)
    client = played.client(cm)
    connections = Recorded()
    client.on(Connected, connections, reconnected=True)
    calls = [client.dial(**{**DIAL, "uid": uid}) for uid in ("1", "2")]
    for call in calls:
        call.wait_bridged(SECONDS)
    cm.silence()
    cm.peer(calls[0]).hang_up()
    cm.drop_connections()
    cm.silence(False)
    connections.next()
    for call in calls:
        cm.wait_for_command("endcall", callid=call.call_id)
        call.wait_for(CallState.HANGUP, SECONDS)
    played.close()
    assert "lost\nback, and not sure of 2\n" == output().removesuffix("lost\n")  # that is close()
    assert ["far end", "endcall"] == [call.ended_by for call in cm.calls]
