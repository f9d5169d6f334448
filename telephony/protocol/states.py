"""One call's life, as a table.

A call is born by our own dial (``ringing``) or by a ``call_incoming`` (``incoming``). It is
*answered* when the remote party picks up, *bridged* while its audio is joined to a channel
and *unbridged* while the SIP leg is up without one; these two alternate. ``call_hangup``
ends it from anywhere, and nothing brings it back.

The Call Manager delivers at least once, sometimes late and sometimes never, so the table
moves only forward: an event that is not listed for the state the call is in is late or a
copy, and changes nothing. What is listed from a state to itself does not move the call and
is told apart from its own copy in another way, see ``ONCE``, ``agora_bridge_start`` and
``agora_bridge_failed`` in ``calls``.
"""

from __future__ import annotations

from enum import Enum
from typing import Mapping


class _Word(str, Enum):
    """An enum whose members are, print and format as their string values."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)


class CallState(_Word):
    """Where a call is in its life; the values are the wire's words."""

    INCOMING = "incoming"
    RINGING = "ringing"
    ANSWERED = "answered"
    BRIDGED = "bridged"
    UNBRIDGED = "unbridged"
    HANGUP = "hangup"


class ConnectionState(_Word):
    """What the client's connection is doing."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"


INCOMING, RINGING, ANSWERED, BRIDGED, UNBRIDGED, HANGUP = CallState

_Moves = Mapping[CallState, CallState]

_LIVE = (INCOMING, RINGING, ANSWERED, BRIDGED, UNBRIDGED)
_STAY: _Moves = {state: state for state in _LIVE}

#: event name -> {the state before: the state after}
TRANSITIONS: Mapping[str, _Moves] = {
    "call_incoming": {INCOMING: INCOMING},
    "call_initiated": _STAY,
    "call_ringing": {INCOMING: RINGING, RINGING: RINGING},
    "call_answered": {INCOMING: ANSWERED, RINGING: ANSWERED},
    # From bridged only when it moves the audio to another channel or uid.
    "agora_bridge_start": {state: BRIDGED for state in _LIVE},
    "agora_bridge_end": {state: UNBRIDGED for state in _LIVE if state is not UNBRIDGED},
    "agora_bridge_failed": {state: UNBRIDGED for state in _LIVE},
    "dtmf_received": _STAY,
    "call_hangup": {state: HANGUP for state in _LIVE},
}

#: Events that may leave the state as it is and still happen, but only once in a call's life.
#: The numbers are bits of a set.
ONCE: Mapping[str, int] = {"call_incoming": 1, "call_initiated": 2, "call_ringing": 4}

#: What may still be told of a call that we hung up, until its ``call_hangup`` comes.
WINDING_DOWN = frozenset({"agora_bridge_end", "dtmf_received", "call_hangup"})

#: The remote party picked up, whatever happened to the audio since.
UP = frozenset({ANSWERED, BRIDGED, UNBRIDGED})
