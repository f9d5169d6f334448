"""``manage.py telephony_stale``: mark records that nobody has heard of for long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
)
from django.db import router
from django.utils import timezone

from telephony.contrib.django.configuration import Configuration
from telephony.contrib.django.models import CallRecord
from telephony.protocol.states import HANGUP


class Command(BaseCommand):  # type: ignore[misc]
    """Marks as stale what is not ended and had no event for so long; an event takes it back."""

    help = "Mark calls as stale that are not ended and of which nothing was heard for long."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seconds", type=float, default=3600, help="how long nothing was heard (3600)"
        )

    def handle(self, *, seconds: float, **_: Any) -> None:
        if not 0 <= seconds < 1e9:
            raise CommandError("--seconds must be 0 or more, and under 1e9", returncode=2)
        before = timezone.now() - timedelta(seconds=seconds)
        using = Configuration.read().database or router.db_for_write(CallRecord)
        calls = CallRecord.objects.using(using).exclude(state=HANGUP).exclude(stale=True)
        count = calls.filter(updated_at__lt=before).update(stale=True)
        self.stdout.write(f"{count} marked as stale")
