"""A web service that dials, for a server that loads it before it forks its workers.

``CONNECT=parent`` connects its client then, else each worker does so when it first needs it.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from telephony import Client
from tests.processes.programs.talk import talk

client = Client.from_env()
if os.environ.get("CONNECT") == "parent":
    client.connect()

app = Flask(__name__)


@app.post("/dial/<uid>")
def dial(uid: str) -> dict[str, Any]:
    call = talk(client, "web", uid)
    return {"pid": os.getpid(), "call_id": call.call_id, "state": call.state}
