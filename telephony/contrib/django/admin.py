"""The records in the admin, to read."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html

from telephony.contrib.django.models import CallEventRecord, CallRecord

#: Numbers in the list are cut after so many characters; a SIP address can have 255.
LONGEST = 32


class _ReadOnly:
    """Rows that are told by events: nobody adds, changes or deletes one by hand."""

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


class _Timeline(_ReadOnly, admin.TabularInline):  # type: ignore[misc]
    model = CallEventRecord
    verbose_name_plural = "timeline"
    fields = readonly_fields = [
        "at", "digits", "echo", "reason", "by_websocket", "by_webhook", "frame",
    ]  # fmt: skip
    extra = 0  # the row's own title is the event's name

    def at(self, event: Any) -> str:
        """The usual format leaves the seconds out."""
        return _with_seconds(event.timestamp)

    def frame(self, event: Any) -> Any:
        text = json.dumps(event.raw, indent=1, ensure_ascii=False)
        return format_html("<details><summary>show</summary><pre>{}</pre></details>", text)


@admin.register(CallRecord)
class CallRecordAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[misc]
    """Calls by state, direction and number, each with its timeline."""

    list_display = [
        "began", "direction", "caller", "callee", "state", "in_doubt", "duration",
        "hangup_cause", "call_id",
    ]  # fmt: skip
    list_filter = ["state", "direction", "stale", "hangup_cause", "created_at"]
    search_fields = ["call_id", "from_number", "to_number", "channel"]
    search_help_text = "A number or a part of it, a call id, a channel"
    inlines = [_Timeline]
    readonly_fields = ["in_doubt"]
    fieldsets = [
        (None, {"fields": [
            "call_id", "state", "in_doubt", "direction", "from_number", "to_number",
        ]}),  # fmt: skip
        ("Audio", {"fields": ["channel", "uid", "app_id", "video"]}),
        ("Times", {"fields": ["created_at", "answered_at", "ended_at", "duration", "billsec"]}),
        ("End", {"fields": ["hangup_cause", "sip_disposition"]}),
    ]

    @admin.display(ordering="created_at")  # type: ignore[untyped-decorator]
    def began(self, record: Any) -> str:
        return _with_seconds(record.created_at)

    @admin.display(description="from", ordering="from_number")  # type: ignore[untyped-decorator]
    def caller(self, record: Any) -> str:
        return _short(record.from_number)

    @admin.display(description="to", ordering="to_number")  # type: ignore[untyped-decorator]
    def callee(self, record: Any) -> str:
        return _short(record.to_number)

    # In words: the green tick that stands for "yes" would read as good.
    @admin.display(description="stale", ordering="stale")  # type: ignore[untyped-decorator]
    def in_doubt(self, record: Any) -> str:
        return "may have ended" if record.stale else "-"


def _short(number: str) -> str:
    return number if len(number) <= LONGEST else f"{number[:LONGEST - 1]}…"


def _with_seconds(moment: Any) -> str:
    if moment is None:
        return "-"
    if timezone.is_aware(moment):
        moment = timezone.localtime(moment)
    return str(moment.strftime("%Y-%m-%d %H:%M:%S"))
