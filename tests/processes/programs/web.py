"""A web service that dials, for a server that loads it before it forks its workers.

``CONNECT=parent`` connects its client then, else each worker does so when it first needs it.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from telephony import Client

client = Client.from_env()
if os.environ.get("CONNECT") == "parent":
    client.connect()

app = Flask(__name__)


@app.post("/dial/<uid>")
def dial(uid: str) -> dict[str, Any]:
    client.connect()  # does nothing when there is a connection already
    with client.dial(
        to="+18005551234",
        from_="+15551234567",
        channel="web",
        uid=uid,
        token="rtc-token-1",
        region="AREA_CODE_NA",
    ) as call:
        call.wait_answered(10)
        call.send_dtmf("12#")
    return {"pid": os.getpid(), "call_id": call.call_id, "state": call.state}
