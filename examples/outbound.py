"""Place a call, send digits once it is up, hang up.

Environment: CM_HOST AUTH_TOKEN APPID TO_NUMBER FROM_NUMBER, and if you like REGION, SIP,
CHANNEL, RTC_TOKEN. Without CM_HOST it calls somebody in a sandbox.
"""

import contextlib
import os

from _common import account, show
from telephony import Event, WaitTimeoutError

with account("TO_NUMBER", "FROM_NUMBER") as (client, settings, sandbox):
    client.on(Event, show)
    client.connect()
    with client.dial(
        to=settings["TO_NUMBER"],
        from_=settings["FROM_NUMBER"],
        region=settings["REGION"],
        sip=os.environ.get("SIP") or None,
        channel=settings["CHANNEL"],
        uid="100",
        token=settings["RTC_TOKEN"],
        timeout=30,
    ) as call:
        call.wait_answered(timeout=60)
        with contextlib.suppress(WaitTimeoutError):  # not every gateway tells of the bridge
            call.wait_bridged(timeout=5)
        call.send_dtmf("1234#")
        if sandbox is not None:
            sandbox.peer(call).press("42#")  # on a real phone, somebody does
        call.collect_digits(max_digits=4, terminator="#", timeout=5)
    # leaving the block has hung up
