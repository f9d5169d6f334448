"""The records in the admin, to read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin  # type: ignore[import-untyped]

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
    fields = ["timestamp", "name", "digits", "echo", "reason", "by_websocket", "by_webhook", "raw"]
    extra = 0


@admin.register(CallRecord)
class CallRecordAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[misc]
    """Calls by state, direction and number, each with its timeline."""

    list_display = [
        "call_id", "direction", "from_number", "to_number", "state", "stale", "created_at",
        "duration", "hangup_cause",
    ]  # fmt: skip
    list_filter = ["state", "direction", "stale", "hangup_cause", "created_at"]
    search_fields = ["call_id", "from_number", "to_number", "channel"]
    search_help_text = "A number or a part of it, a call id, a channel"
    sortable_by = list_display
    inlines = [_Timeline]
    fieldsets = [
        (None, {"fields": ["call_id", "state", "stale", "direction", "from_number", "to_number"]}),
        ("Audio", {"fields": ["channel", "uid", "app_id", "video"]}),
        ("Times", {"fields": ["created_at", "answered_at", "ended_at", "duration", "billsec"]}),
        ("End", {"fields": ["hangup_cause", "sip_disposition"]}),
    ]
