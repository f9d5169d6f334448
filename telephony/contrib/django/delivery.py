"""Events on their way to the records and the signals."""

from __future__ import annotations

import logging
from typing import Iterable

from telephony.call import Call
from telephony.contrib.django import records
from telephony.contrib.django.configuration import Configuration
from telephony.contrib.django.signals import SIGNALS
from telephony.protocol.events import CallIncoming, Event

log = logging.getLogger("telephony")


def deliver(event: Event, source: str) -> bool:
    """Record *event* and send its signal; whether a receiver returned True.

    What the WebSocket told is sent whatever becomes of the record, and its failure is logged. What
    a webhook told is sent only if it was not known; where it cannot be recorded the database's
    error is raised before anything is sent, and the gateway can post it again.
    """
    configuration = Configuration.read()
    if source == "webhook":
        if configuration.records and not records.write(event, source, configuration):
            return False
        if isinstance(event, CallIncoming) and not configuration.inbound:
            return False  # the listener is told over its WebSocket, and two would compete
        return _send(event, source)
    if isinstance(event, CallIncoming):  # the phone rings: the database comes later
        kept = _send(event, source)
        _record(event, configuration, kept=kept)
        return kept
    _record(event, configuration)
    return _send(event, source)


def leave(calls: Iterable[Call]) -> None:
    """Note of *calls* that nothing more is heard of them here; a failure is logged."""
    try:
        configuration = Configuration.read()
        if configuration.records:
            records.leave(calls, configuration)
    except Exception:
        log.exception("what becomes of the calls that were up could not be recorded")


def _send(event: Event, source: str) -> bool:
    kind = type(event)
    answers = SIGNALS[kind].send_robust(sender=kind, event=event, source=source)
    return any(answer is True for _, answer in answers)


def _record(event: Event, configuration: Configuration, *, kept: bool = True) -> None:
    if not configuration.records:
        return
    try:
        records.write(event, "websocket", configuration, kept=kept)
    except Exception:
        log.exception("%s could not be recorded", event.name)
