"""A command in a worker's hands, as Celery shows and keeps it before its thread begins."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request
from kombu.utils.objects import cached_property

from telephony.contrib.celery.snapshot import masked_arguments


class Received(Request):  # type: ignore[misc]
    """Never shows the arguments as they are: there may be tokens among them.

    ``celery inspect`` asks for ``info``. What ends before it has begun, because its time is over or
    it was revoked, is kept with the context's arguments where ``result_extended`` is set. The task
    itself is given what was sent.
    """

    def info(self, safe: bool = False) -> dict[str, Any]:
        """What ``celery inspect`` prints."""
        told: dict[str, Any] = super().info(safe=True)
        return told

    @cached_property
    def _context(self) -> Any:
        context = super()._context
        context.args = masked_arguments(list(context.args or ()))
        context.kwargs = masked_arguments(dict(context.kwargs or {}))
        return context
