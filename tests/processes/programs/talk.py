"""A short call, from whatever process it is asked for."""

from __future__ import annotations

from telephony import Call, Client


def talk(client: Client, channel: str, uid: str) -> Call:
    """Dial, press some keys when there is an answer, and hang up."""
    client.connect()  # does nothing when there is a connection already
    with client.dial(
        to="+18005551234",
        from_="+15551234567",
        channel=channel,
        uid=uid,
        token="rtc-token-1",
        region="AREA_CODE_NA",
    ) as call:
        call.wait_answered(10)
        call.send_dtmf("12#")
    return call
