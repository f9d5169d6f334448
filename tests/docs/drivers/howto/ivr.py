"""docs/howto/ivr.rst."""

from __future__ import annotations

import signal
from typing import Any

from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.docs.web import SETTINGS

DID = "+18005550100"


def ivr(block: Block, play: Play, output: Output) -> None:
    """Each way through the menu is taken once, and no caller is left in it."""
    cm = play.start()
    play.write(block)
    program = play.program("bash", "-c", f"exec python {block.caption} 2>&1", DID=DID, **SETTINGS)
    cm.wait_for_command("register")

    def says(prompt: str) -> None:
        line = program.line()
        assert line.startswith(f"{prompt} -> ivr-"), line

    def caller() -> Any:
        far = cm.incoming(to=DID, from_="+15559876543")
        assert far.wait_accepted(SECONDS)
        says("welcome")
        return far

    cm.refuse("callid not found", action="accept")  # another process was first
    late = cm.incoming(to=DID, from_="+15559876543")
    cm.wait_for_command("accept", callid=late.call_id)

    sales = caller()
    sales.press("1")
    assert "sales" == cm.wait_for_command("rebridge")["channel"]
    assert "with sales: +15559876543" == program.line()
    sales.hang_up()

    order = caller()
    order.press("24711#")  # who knows the menu need not wait for it
    says("your order number, then #")
    says("order 4711 is on its way")
    assert "NORMAL_CLEARING" == order.wait_ended(SECONDS)

    operator = caller()
    operator.press("0")
    assert "BLIND_TRANSFER" == operator.wait_ended(SECONDS)
    assert "+15551230002" == operator.transferred_to

    confused = caller()
    for prompt in ("try again", "last try", "goodbye"):
        confused.press("9")
        says(prompt)
    assert "NORMAL_CLEARING" == confused.wait_ended(SECONDS)

    caller().hang_up("NO_USER_RESPONSE")
    assert "the caller left: NO_USER_RESPONSE" == program.line()

    waiting = caller()
    uids = [cm.wait_for_command("accept")["uid"] for _ in range(6)]
    assert len(set(uids)) == len(uids)

    program.interrupt(signal.SIGTERM)
    assert 0 == program.finish()[0]
    assert "NORMAL_CLEARING" == waiting.wait_ended(SECONDS)
    assert "hangup" == cm.calls[-1].ended_by
