"""Forty calls at once while events come twice, out of order, and after the answers."""

from __future__ import annotations

import random

import pytest

from telephony import CallIncoming, CallNotFoundError, CommandRefusedError
from telephony.runtime.backoff import Backoff
from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.load.story import SECONDS, Stories, each

CALLS = 40
DID = "+18005550001"
# The first words of a dial have no id: late ones cannot be told from a stranger's.
NAMELESS = {"call_initiated", "call_ringing"}


@pytest.mark.parametrize("seed", range(6))
def test_disturbed(seed):
    """Whatever the order: every call ends, is told so once, and nothing is told twice."""
    chance = random.Random(seed)
    with Sandbox(
        time_scale=20,
        dids=[DID],
        lookup_hold=600,
        cm_hold=600,
        respond=chance.choice(["early", "answer"]),
    ) as cm:
        client = cm.client(dial_timeout=SECONDS, command_timeout=SECONDS)
        stories = Stories(client)

        @client.on(CallIncoming)
        def answer(event):
            event.call.accept(token="t", channel="in", uid=event.info.from_)

        cm.duplicate()
        cm.reorder(seed=seed)
        cm.delay(0.03, "outbound")
        cm.delay(0.02, "endcall")
        fates = [(n, chance.choice(["ours", "theirs", "both"])) for n in range(CALLS)]

        def live(fate):
            number, ender = fate
            call = client.dial(
                **{**DIAL, "uid": str(number), "from_": f"+1555{number:07d}",
                   "to": DID if number % 2 else DIAL["to"]}
            )  # fmt: skip
            call.wait_bridged(SECONDS)
            if ender != "ours":
                cm.peer(call).hang_up("NORMAL_CLEARING")
            if ender != "theirs":
                try:
                    call.hangup()
                except CallNotFoundError:
                    pass  # the far end was first
            return call.wait_ended(SECONDS)

        with client:
            infos = each(fates, live, CALLS)
            for call in stories.calls:
                call.wait_ended(SECONDS)
            assert [] == client.calls()
            assert 0 == client.health().in_flight
            client.close(drain=SECONDS)
        assert ["hangup"] * CALLS == [info.state for info in infos]
        assert {event.name for event in stories.strays} <= NAMELESS
        for call in stories.calls:
            names = stories.names(call)
            assert len(names) == len(set(names)), (call, names)
            assert "call_hangup" in names, (call, names)
            assert "NORMAL_CLEARING" == call.hangup_cause


def test_outages():
    """The connection is cut again and again under calls that are coming and going."""
    quick = Backoff(initial=0.01, maximum=0.02)
    with Sandbox(time_scale=20) as cm:
        client = cm.client(reconnect=quick, dial_timeout=5, command_timeout=5)
        stories = Stories(client)

        def live(number):
            """A call's life; what the outages do to it is its caller's to bear."""
            assert client.wait_connected(SECONDS)
            try:
                with client.dial(**{**DIAL, "uid": str(number)}) as call:
                    call.wait_answered(SECONDS)
                return "done"
            except Exception as error:
                return type(error).__name__

        with client:
            story = []
            for round_ in range(5):
                numbers = range(round_ * 8, round_ * 8 + 8)
                cutting = round_ % 2 == 0
                story += each(
                    [*numbers, "cut"] if cutting else numbers,
                    lambda n: cm.drop_connections() if n == "cut" else live(n),
                    9,
                )
            assert client.wait_connected(SECONDS)
            assert set(story) <= {
                None, "done", "ConnectionLostError", "NotConnectedError", "CallEndedError",
                "CallNotFoundError",
            }  # fmt: skip
            assert "done" in story
            for record in cm.calls:  # what no event has told us of is still up there
                cm.peer(record.call_id).hang_up()
            for _ in range(2):  # answered after all those hangups, and after what they led to
                with pytest.raises(CommandRefusedError):
                    client.command("sync")
            assert all(call.stale for call in client.calls())
            assert 0 == client.health().in_flight
            client.close(drain=SECONDS)
        for call in stories.calls:
            assert stories.names(call).count("call_hangup") < 2
