"""Wait for a call to our number, accept it into a channel, print events until it ends.

Environment: CM_HOST AUTH_TOKEN APPID DID, and if you like CHANNEL, RTC_TOKEN. Without CM_HOST
somebody calls from a sandbox.
"""

import queue

from _common import account, show
from telephony import CallIncoming, Event

with account("DID") as (client, settings, sandbox):
    accepted = queue.SimpleQueue()
    client.on(Event, show)

    @client.on(CallIncoming, to=settings["DID"])
    def answer(event):
        event.call.accept(token=settings["RTC_TOKEN"], channel=settings["CHANNEL"], uid="200")
        accepted.put(event.call)

    client.subscribe([settings["DID"]])
    client.connect()
    if sandbox is not None:
        caller = sandbox.incoming(to=settings["DID"], from_=settings["FROM_NUMBER"])

    call = accepted.get()
    if sandbox is not None:
        call.wait_bridged(timeout=10)
        caller.press("42#")
        caller.hang_up()
    call.wait_ended()
