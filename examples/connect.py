"""Register, and print what becomes of the connection until Ctrl-C.

Environment: CM_HOST AUTH_TOKEN APPID, and CLIENT_ID if you like. Without CM_HOST it runs
against a sandbox, which drops the connection once to show how the client comes back.
"""

import queue

from _common import account, show
from telephony import Connected, Event

with account() as (client, settings, sandbox):
    connections = queue.SimpleQueue()
    client.on(Event, show)
    client.on(Connected, connections.put)

    if sandbox is None:
        client.run_forever()  # connects; returns on Ctrl-C
    else:
        client.connect()
        connections.get(timeout=10)
        sandbox.drop_connections()
        connections.get(timeout=10)  # the client has connected again by itself
