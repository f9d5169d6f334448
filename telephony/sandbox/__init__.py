"""A Call Manager to run at home: real sockets, real calls, nobody's phone.

::

    from telephony.sandbox import Sandbox

    with Sandbox() as cm:
        with cm.client() as client:
            ...

It serves the Call Manager's protocol over WebSocket and HTTP, plays the gateway and
whoever is at the far end, and can be told to misbehave. It keeps its own reading of the
wire and shares no code with the client, so that a word misspelt on one side does not agree
with itself. Building a `Sandbox` needs aiohttp: ``pip install "agora-telephony[sandbox]"``.
"""

from telephony.sandbox.calls import CallRecord
from telephony.sandbox.controls import SandboxNotRunningError
from telephony.sandbox.dialplan import DialScript
from telephony.sandbox.farend import FarEnd
from telephony.sandbox.sandbox import Sandbox
from telephony.sandbox.settings import DEFAULT_APP_ID, DEFAULT_AUTH_TOKEN

__all__ = [
    "DEFAULT_APP_ID",
    "DEFAULT_AUTH_TOKEN",
    "CallRecord",
    "DialScript",
    "FarEnd",
    "Sandbox",
    "SandboxNotRunningError",
]
