"""docs/howto/click-to-call.rst."""

from __future__ import annotations

import re
import sys

from telephony.sandbox import Sandbox
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.docs.web import SETTINGS

AGENT, CUSTOMER = "+18005550001", "+18005550002"


def _talk(play: Play, block: Block, cm: Sandbox, leaves: int) -> str:
    """One talk that ends when so many'th of the two leaves; what the program says of it."""
    program = play.python(block.caption, AGENT, CUSTOMER, **SETTINGS)
    second = cm.wait_for_command("outbound", to=CUSTOMER)
    first = cm.wait_for_command("outbound", to=AGENT)
    assert (first["channel"], "1", "2") == (second["channel"], first["uid"], second["uid"])
    legs = [cm.peer(call.call_id) for call in cm.calls[-2:]]
    assert all(leg.wait_accepted(SECONDS) for leg in legs)
    legs[leaves].hang_up()
    assert "NORMAL_CLEARING" == legs[1 - leaves].wait_ended(SECONDS)
    code, lines = program.finish()
    assert (0, "") == (code, program.stderr)
    return lines[0]


def click(block: Block, play: Play, output: Output) -> None:
    """When one leaves both go, and when one is not reached the other is hung up."""
    cm = play.start()
    play.write(block)
    for leaves in (0, 1):  # so soon that the other has perhaps not been heard to answer
        said = _talk(play, block, cm, leaves)
        assert re.fullmatch(r"talked for \d+ s|the \w+ did not answer, or left at once", said)

    cm.script_dial("busy", to=CUSTOMER)
    program = play.python(block.caption, AGENT, CUSTOMER, **SETTINGS)
    assert (0, ["the customer was not reached: Busy"]) == program.finish()
    assert {True} == {call.ended for call in cm.calls}

    cm.script_dial("no_answer", to=AGENT, ring=1)
    program = play.python(block.caption, AGENT, CUSTOMER, **SETTINGS)
    assert (0, ["the agent was not reached: No Answer"]) == program.finish()

    cm.script_dial(to=CUSTOMER, delay=10_000)
    program = play.python(block.caption, AGENT, CUSTOMER, **SETTINGS)
    for _ in range(2):  # the one who was busy, and this one
        cm.wait_for_command("outbound", to=CUSTOMER)
    cm.drop_connections()
    assert (0, ["the customer may be ringing: nobody knows"]) == program.finish()


def run(block: Block, play: Play, output: Output) -> None:
    """The command runs the file above."""
    cm = play.start()
    cm.script_dial("busy", to=AGENT)
    play.write(play.other(block, "click"))
    code, lines, stderr = play.shell(block.text, **SETTINGS)
    assert (0, ["the agent was not reached: Busy"]) == (code, lines), stderr


def web(block: Block, play: Play, output: Output) -> None:
    """It returns at once, and what was submitted goes on."""
    cm = play.start()
    for name, value in SETTINGS.items():
        play.monkeypatch.setenv(name, value)
    play.write(play.other(block, "click"))
    play.monkeypatch.syspath_prepend(str(play.folder))
    try:
        cm.script_dial("busy", to=AGENT)
        played = play.run(block)
        played.finish()
        assert "the agent was not reached: Busy" == played["on_click"](AGENT, CUSTOMER).result(30)
        played["talking"].shutdown()
    finally:
        played["client"].close()
        sys.modules.pop("click_to_call", None)
