"""The app, as Django's registry knows it."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class TelephonyConfig(AppConfig):  # type: ignore[misc]
    """Records of calls, the signals, the commands; label ``telephony``."""

    name = "telephony.contrib.django"
    label = "telephony"
    verbose_name = "Telephony"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.core.signals import setting_changed

        from telephony.contrib.django import checks  # noqa: F401

        setting_changed.connect(_setting_changed, dispatch_uid="telephony")


def _setting_changed(*, setting: str, **_: Any) -> None:
    """A test changed the account: the next ``get_client`` is for the other one."""
    if setting == "TELEPHONY":
        from telephony.contrib.django.client import close_client

        close_client()
