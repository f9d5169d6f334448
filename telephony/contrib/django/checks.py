"""What ``manage.py check`` says about the setting ``TELEPHONY``."""

from __future__ import annotations

from typing import Any

import attrs
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse

from telephony.contrib.django.configuration import Configuration, imported


@checks.register  # type: ignore[untyped-decorator]
def check_settings(app_configs: Any = None, **_: Any) -> list[Any]:
    """Errors for what is wrong; what is not there yet is a warning, as ``migrate`` needs none."""
    try:
        configuration = Configuration.read()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="telephony.E001")]
    found = []
    # What is missing must not hide what is wrong.
    stand_ins: dict[str, Any] = {key.lower(): "stand-in" for key in configuration.missing}
    try:
        attrs.evolve(configuration, **stand_ins).client()
    except ImproperlyConfigured as error:
        found.append(checks.Error(str(error), id="telephony.E002"))
    if configuration.lookup:
        try:
            if not callable(imported("LOOKUP", configuration.lookup)):
                raise ImproperlyConfigured(
                    f'TELEPHONY["LOOKUP"]: {configuration.lookup!r} is no function'
                )
        except ImproperlyConfigured as error:
            found.append(checks.Error(str(error), id="telephony.E003"))
    if configuration.database and configuration.database not in settings.DATABASES:
        message = f'TELEPHONY["DATABASE"]: DATABASES has no {configuration.database!r}'
        found.append(checks.Error(message, id="telephony.E004"))
    secret = configuration.webhook_secret
    if not (secret.isascii() and secret.isprintable()):
        message = 'TELEPHONY["WEBHOOK_SECRET"] must be one line of ASCII: it is in a header'
        found.append(checks.Error(message, id="telephony.E005"))
    for key, what in configuration.missing.items():
        message = f'TELEPHONY["{key}"] is not set, nor is its environment variable: {what}'
        found.append(
            checks.Warning(message, hint="No call can be placed or taken.", id="telephony.W001")
        )
    if not configuration.webhook_secret and _urls_are_included():
        found.append(
            checks.Warning(
                'TELEPHONY["WEBHOOK_SECRET"] is not set: every webhook is refused',
                hint="Set what the gateway sends as Authorization, or leave out "
                "telephony.contrib.django.urls.",
                id="telephony.W002",
            )
        )
    return found


def _urls_are_included() -> bool:
    if not getattr(settings, "ROOT_URLCONF", None):
        return False
    try:
        reverse("telephony:events")
    except NoReverseMatch:
        return False
    except Exception:  # a URLconf that is broken has checks of its own
        return False
    return True
