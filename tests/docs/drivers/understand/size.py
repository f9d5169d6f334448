"""docs/understand/size.rst."""

from __future__ import annotations

from tests.docs import shell
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block

CALLER = "+15559876543"


def measure(block: Block, play: Play, output: Output) -> None:
    """They can be asked for help; .ci/run runs the shortest."""
    shell.exists(block.text)


def shares(block: Block, play: Play, output: Output) -> None:
    """Of two workers each is offered its own numbers, and answers them."""
    cm = play.start()
    play.write(block)
    for worker in ("0", "1"):
        play.python(block.caption, WORKER=worker, WORKERS="2", CLIENT_ID=f"desk-{worker}")
    subscribed = {}
    for _ in range(2):
        register = cm.wait_for_command("register")
        subscribed[register["client_id"]] = register["subscribe_numbers"]
    assert ["+18005550001", "+18005550003"] == subscribed["desk-0"]
    assert ["+18005550002", "+18005550004"] == subscribed["desk-1"]
    for number, worker in ((1, "0"), (2, "1"), (3, "0"), (4, "1")):
        assert cm.incoming(to=f"+1800555000{number}", from_=CALLER).wait_accepted(SECONDS)
        assert worker == cm.wait_for_command("accept")["uid"]
    assert 4 == sum("accept" == frame.get("action") for frame in cm.frames)  # nobody was refused


def dialler(block: Block, play: Play, output: Output) -> None:
    """It is offered no call while it has one of its own."""
    cm = play.start()
    played = play.run(block)
    cm.wait_for_command("outbound")
    caller = cm.incoming(to="+18005550001", from_=CALLER)
    assert "UNALLOCATED_NUMBER" == caller.hangup_cause
    assert cm.peer(cm.calls[0].call_id).wait_accepted(SECONDS)
    cm.peer(cm.calls[0].call_id).hang_up()
    played.finish()
    assert "NORMAL_CLEARING\n" == output()
