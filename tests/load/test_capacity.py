"""1,000 calls at once, and 200 clients, through the library's own client."""

from __future__ import annotations

import os
import time

from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.load.story import SECONDS, Stories, each, nothing_left

CALLS = 1000
CLIENTS = 200
CALLS_EACH = 5


def test_a_thousand_calls_of_one_client():
    """All up at the same time, each with its digits, its events once, and gone in the end."""
    began = time.monotonic()
    with Sandbox(time_scale=20, respond="early") as cm:
        client = cm.client(dial_timeout=SECONDS, command_timeout=SECONDS)
        stories = Stories(client)

        def dial(number):
            return client.dial(**{**DIAL, "uid": str(number)})

        def talk(numbered):
            number, call = numbered
            call.wait_bridged(SECONDS)
            call.send_dtmf(f"{number:04d}")

        def end(call):
            call.hangup()
            return call.wait_ended(SECONDS).hangup_cause

        with client:
            calls = each(range(CALLS), dial, 20)
            each(enumerate(calls), talk, 20)
            assert CALLS == len(client.calls()) == sum(not leg.ended for leg in cm.calls)
            assert ["NORMAL_CLEARING"] * CALLS == each(calls, end, 20)
            nothing_left(client)
            client.close(drain=SECONDS)
        assert [f"{number:04d}" for number in range(CALLS)] == [
            cm.peer(call).heard for call in calls
        ]
    assert [] == stories.strays
    assert set(calls) == set(stories.calls)
    for number, call in enumerate(calls):
        assert [
            "call_initiated", "call_ringing", "call_answered", "agora_bridge_start",
            f"echo {number:04d}", "agora_bridge_end", "call_hangup",
        ] == stories.names(call)  # fmt: skip
    took = time.monotonic() - began
    assert took < 40, f"{took:.1f} s on {os.cpu_count()} processors"


def test_two_hundred_clients():
    """Registered at the same time, with five calls each up at once; no command fails."""
    began = time.monotonic()
    with Sandbox(time_scale=20, respond="early") as cm:
        clients = [
            cm.client(client_id=f"client-{number}", workers=1, connect_timeout=SECONDS,
                      command_timeout=SECONDS, dial_timeout=SECONDS, ping_interval=30,
                      ping_timeout=60)
            for number in range(CLIENTS)
        ]  # fmt: skip
        stories = [Stories(client) for client in clients]

        def dial(client):
            return [client.dial(**{**DIAL, "uid": str(uid)}) for uid in range(CALLS_EACH)]

        def talk(calls):
            for call in calls:
                call.wait_bridged(SECONDS)
                call.send_dtmf(call.uid)

        def end(calls):
            for call in calls:
                call.hangup()
            return [call.wait_ended(SECONDS).hangup_cause for call in calls]

        try:
            each(clients, lambda client: client.connect(), 20)
            assert all(client.connected for client in clients)
            calls = each(clients, dial, 20)
            each(calls, talk, 20)
            assert CLIENTS * CALLS_EACH == sum(not leg.ended for leg in cm.calls)
            causes = each(calls, end, 20)
            assert [["NORMAL_CLEARING"] * CALLS_EACH] * CLIENTS == causes
            for client in clients:
                nothing_left(client)
        finally:
            each(clients, lambda client: client.close(drain=SECONDS), 20)
    for own, story in zip(calls, stories):
        assert [] == story.strays
        assert set(own) == set(story.calls)
        for call in own:
            assert [
                "call_initiated", "call_ringing", "call_answered", "agora_bridge_start",
                f"echo {call.uid}", "agora_bridge_end", "call_hangup",
            ] == story.names(call)  # fmt: skip
    took = time.monotonic() - began
    assert took < 40, f"{took:.1f} s on {os.cpu_count()} processors"
