"""30 calls at once, over trunks by udp, tcp and tls in turn."""

from __future__ import annotations

import pytest

from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.load.story import SECONDS, Stories, each, nothing_left

CALLS = 30
TRANSPORTS = ("udp", "tcp", "tls")


@pytest.mark.parametrize("dtmf_echo", ["whole", "digits"])
def test_thirty_calls(dtmf_echo):
    """Each is dialled over its own trunk, hears its own digits and ends by itself."""
    with Sandbox(time_scale=20, dtmf_echo=dtmf_echo) as cm:
        client = cm.client(dial_timeout=SECONDS, command_timeout=SECONDS)
        stories = Stories(client)

        def sip(number):
            return f"trunk-{number}.example:5081;transport={TRANSPORTS[number % 3]}"

        def dial(number):
            return client.dial(
                **{**DIAL, "to": f"+1800{number:07d}", "uid": str(number), "sip": sip(number)}
            )

        def talk(numbered):
            number, call = numbered
            call.wait_bridged(SECONDS)
            call.send_dtmf(f"7{number:02d}")
            far = cm.peer(call)
            far.wait_heard(f"7{number:02d}", SECONDS)
            far.press(f"8{number:02d}#")
            return call.collect_digits(timeout=SECONDS)

        def end(numbered):
            number, call = numbered
            if number % 2:
                call.hangup()
            else:
                cm.peer(call).hang_up("NORMAL_CLEARING")
            return call.wait_ended(SECONDS).hangup_cause

        with client:
            calls = each(range(CALLS), dial, CALLS)
            assert CALLS == len(client.calls()) == len({call.call_id for call in calls})
            heard = each(enumerate(calls), talk, CALLS)
            assert [f"8{number:02d}" for number in range(CALLS)] == heard
            causes = each(enumerate(calls), end, CALLS)
            assert ["NORMAL_CLEARING"] * CALLS == causes
            nothing_left(client)
            client.close(drain=SECONDS)

        sent = {frame["uid"]: frame for frame in cm.frames if "outbound" == frame["action"]}
        assert [sip(number) for number in range(CALLS)] == [
            sent[str(number)]["sip"] for number in range(CALLS)
        ]
        assert [] == stories.strays
        assert set(calls) == set(stories.calls)
        for number, call in enumerate(calls):
            assert f"+1800{number:07d}" == call.to
            ours, theirs = f"7{number:02d}", f"8{number:02d}#"
            assert [
                "call_initiated", "call_ringing", "call_answered", "agora_bridge_start",
                *([f"echo {ours}"] if dtmf_echo == "whole" else [f"echo {key}" for key in ours]),
                *[f"heard {key}" for key in theirs],
                "agora_bridge_end", "call_hangup",
            ] == stories.names(call)  # fmt: skip
