"""A Django signal for each kind of event.

A receiver gets ``sender`` (the event's class), ``event`` and ``source``: ``"websocket"``, or
``"webhook"`` for what the gateway posted to ``telephony.contrib.django.urls``::

    @receiver(call_hangup)
    def ended(sender, event, **kwargs):
        print(event.call.call_id, event.hangup_cause)

Receivers run on threads of the client's, those of one call one at a time and in the order of its
events; they may block and call anything. One that raises is logged with its traceback (by
``django.dispatch``) and stops no other. Where records are kept, an event is in the database when
its receivers are called; only ``call_incoming`` is written after them, since somebody waits for
an answer.

``call_incoming`` is sent only in ``manage.py telephony_listen``, unless ``TELEPHONY["INBOUND"]`` is
true, and one that was posted only then. A receiver keeps the call by accepting or rejecting it,
or by returning True to decide later.
"""

from __future__ import annotations

from typing import Any, Mapping

from django.dispatch import Signal

from telephony.protocol import events

call_incoming = Signal()
call_initiated = Signal()
call_ringing = Signal()
call_answered = Signal()
bridge_started = Signal()
bridge_ended = Signal()
bridge_failed = Signal()
dtmf_received = Signal()
call_hangup = Signal()
unknown_event = Signal()
call_orphaned = Signal()
connected = Signal()
disconnected = Signal()
gap = Signal()
error_occurred = Signal()

#: The signal of each event class.
SIGNALS: Mapping[type[events.Event], Any] = {
    events.CallIncoming: call_incoming,
    events.CallInitiated: call_initiated,
    events.CallRinging: call_ringing,
    events.CallAnswered: call_answered,
    events.BridgeStarted: bridge_started,
    events.BridgeEnded: bridge_ended,
    events.BridgeFailed: bridge_failed,
    events.DtmfReceived: dtmf_received,
    events.CallHangup: call_hangup,
    events.UnknownEvent: unknown_event,
    events.CallOrphaned: call_orphaned,
    events.Connected: connected,
    events.Disconnected: disconnected,
    events.Gap: gap,
    events.ErrorOccurred: error_occurred,
}
