"""The records in the admin, to read."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html

from telephony.contrib.django.models import CallEventRecord, CallRecord


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
        "at", "name", "digits", "echo", "reason", "by_websocket", "by_webhook", "frame",
    ]  # fmt: skip
    extra = 0

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
        "began", "direction", "from_number", "to_number", "state", "stale", "duration",
        "hangup_cause", "call_id",
    ]  # fmt: skip
    list_filter = ["state", "direction", "stale", "hangup_cause", "created_at"]
    search_fields = ["call_id", "from_number", "to_number", "channel"]
    search_help_text = "A number or a part of it, a call id, a channel"
    inlines = [_Timeline]
    fieldsets = [
        (None, {"fields": ["call_id", "state", "stale", "direction", "from_number", "to_number"]}),
        ("Audio", {"fields": ["channel", "uid", "app_id", "video"]}),
        ("Times", {"fields": ["created_at", "answered_at", "ended_at", "duration", "billsec"]}),
        ("End", {"fields": ["hangup_cause", "sip_disposition"]}),
    ]

    @admin.display(ordering="created_at")  # type: ignore[untyped-decorator]
    def began(self, record: Any) -> str:
        return _with_seconds(record.created_at)


def _with_seconds(moment: Any) -> str:
    if moment is None:
        return "-"
    if timezone.is_aware(moment):
        moment = timezone.localtime(moment)
    return str(moment.strftime("%Y-%m-%d %H:%M:%S"))
