"""The tables of the records."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

STATES = ["incoming", "ringing", "answered", "bridged", "unbridged", "hangup"]


def _id() -> Any:
    return models.BigAutoField(
        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
    )


def _text(name: str | None = None, **options: Any) -> Any:
    return models.CharField(blank=True, max_length=255, verbose_name=name, **options)


class Migration(migrations.Migration):  # type: ignore[misc]
    initial = True

    dependencies: list[Any] = []

    operations = [
        migrations.CreateModel(
            name="CallRecord",
            fields=[
                ("id", _id()),
                ("call_id", models.CharField(max_length=255, unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[(state, state) for state in STATES], db_index=True, max_length=16
                    ),
                ),
                ("direction", models.CharField(blank=True, db_index=True, max_length=16)),
                ("from_number", _text("from", db_index=True)),
                ("to_number", _text("to", db_index=True)),
                ("channel", _text()),
                ("uid", _text()),
                ("app_id", _text("App ID")),
                ("video", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(blank=True, db_index=True, null=True)),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("hangup_cause", _text()),
                ("duration", models.BigIntegerField(blank=True, null=True)),
                ("billsec", models.BigIntegerField(blank=True, null=True)),
                ("sip_disposition", _text()),
                (
                    "stale",
                    models.BooleanField(
                        default=False,
                        help_text="There was an outage, or silence: it may have ended unheard.",
                    ),
                ),
                ("state_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={"verbose_name": "call", "ordering": ["-recorded_at", "-pk"]},
        ),
        migrations.CreateModel(
            name="CallEventRecord",
            fields=[
                ("id", _id()),
                ("name", models.CharField(max_length=255)),
                ("timestamp", models.DateTimeField(blank=True, null=True)),
                ("received_at", models.DateTimeField(auto_now_add=True)),
                ("digits", models.TextField(blank=True)),
                ("echo", models.BooleanField(default=False)),
                ("reason", models.TextField(blank=True)),
                ("raw", models.JSONField(blank=True, default=dict)),
                ("by_websocket", models.BooleanField(default=False, verbose_name="WebSocket")),
                ("by_webhook", models.BooleanField(default=False, verbose_name="webhook")),
                ("fingerprint", models.CharField(editable=False, max_length=64)),
                (
                    "call",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="telephony.callrecord",
                    ),
                ),
            ],
            options={
                "verbose_name": "event of a call",
                "verbose_name_plural": "events of calls",
                "ordering": ["timestamp", "pk"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("call", "fingerprint"), name="telephony_event_once_per_call"
                    )
                ],
            },
        ),
    ]
