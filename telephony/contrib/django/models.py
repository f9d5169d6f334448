"""What is kept of calls."""

from __future__ import annotations

from typing import Any

from django.db import models

from telephony.protocol.states import HANGUP, CallState


class CallRecord(models.Model):  # type: ignore[misc]
    """One call, as its events have told of it; ``events`` are these, in their order.

    Numbers, ids and words are as the Call Manager sends them, ``""`` where not known; durations are
    seconds. ``stale``: the call may have ended unheard. Written by the library; to change
    a row changes nothing about the call.
    """

    call_id = models.CharField(max_length=255, unique=True)
    state = models.CharField(
        max_length=16, db_index=True, choices=[(str(s), str(s)) for s in CallState]
    )
    direction = models.CharField(max_length=16, blank=True, db_index=True)
    from_number = models.CharField("from", max_length=255, blank=True, db_index=True)
    to_number = models.CharField("to", max_length=255, blank=True, db_index=True)
    channel = models.CharField(max_length=255, blank=True)
    uid = models.CharField(max_length=255, blank=True)
    app_id = models.CharField("App ID", max_length=255, blank=True)
    video = models.BooleanField(default=False)
    created_at = models.DateTimeField(null=True, blank=True, db_index=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    hangup_cause = models.CharField(max_length=255, blank=True)
    duration = models.BigIntegerField(null=True, blank=True)
    billsec = models.BigIntegerField(null=True, blank=True)
    sip_disposition = models.CharField(max_length=255, blank=True)
    stale = models.BooleanField(
        default=False, help_text="There was an outage, or silence: it may have ended unheard."
    )
    #: when the event happened that the state is from
    state_at = models.DateTimeField(null=True, blank=True, editable=False)
    recorded_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "call"
        ordering = ["-recorded_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.direction or 'call'} {self.from_number} to {self.to_number}: {self.state}"

    @property
    def active(self) -> bool:
        """Whether its end has not been heard."""
        return bool(self.state != HANGUP)


class CallEventRecord(models.Model):  # type: ignore[misc]
    """One event of a call. ``raw`` is the frame as received, its secrets masked."""

    call = models.ForeignKey(CallRecord, on_delete=models.CASCADE, related_name="events")
    name = models.CharField(max_length=255)
    timestamp = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(auto_now_add=True)
    digits = models.TextField(blank=True)
    echo = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    raw: Any = models.JSONField(default=dict, blank=True)
    by_websocket = models.BooleanField("WebSocket", default=False)
    by_webhook = models.BooleanField("webhook", default=False)
    fingerprint = models.CharField(max_length=64, editable=False)

    class Meta:
        verbose_name = "event of a call"
        verbose_name_plural = "events of calls"
        ordering = ["timestamp", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["call", "fingerprint"], name="telephony_event_once_per_call"
            )
        ]

    def __str__(self) -> str:
        return str(self.name)
