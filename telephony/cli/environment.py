"""Who and where: what the commands take from the environment, and the one secret they ask for.

An argument can be read by every process on the machine, so secrets are none: they come from the
environment, or from a person at a terminal.
"""

from __future__ import annotations

import getpass
import os
import re
import sys

from telephony.errors import InvalidArgumentError

#: Every variable that is read, and what it is.
VARIABLES = {
    "CM_HOST": "the Call Manager's host or URL",
    "AUTH_TOKEN": "its credentials, 'Basic ...'; asked for on a terminal",
    "APPID": "the App ID, or MULTI",
    "CLIENT_ID": "a name no other client has; else one is made up",
    "TO_NUMBER": "whom to call",
    "FROM_NUMBER": "from which number",
    "DID": "the numbers to take calls for",
    "REGION": "the gateway's region (AREA_CODE_NA)",
    "SIP": "a trunk's URI; a secret",
    "CHANNEL": "the channel for the audio (telephony)",
    "RTC_TOKEN": "the token for the channel (the App ID)",
    "NO_COLOR": "set to anything: no colours",
}

_USUAL = {"REGION": "AREA_CODE_NA", "CHANNEL": "telephony"}
#: where a wrong argument came from
_SOURCES = {
    "url": "CM_HOST",
    "auth_token": "AUTH_TOKEN",
    "app_id": "APPID",
    "client_id": "CLIENT_ID",
    "to": "TO_NUMBER or --to",
    "from_": "FROM_NUMBER or --from",
    "region": "REGION",
    "channel": "CHANNEL",
    "uid": "--uid",
    "token": "RTC_TOKEN",
    "sip": "SIP",
    "timeout": "--ring",
    "subscribe_numbers": "DID or --did",
    "path": "--record",
    "dids": "--did",
}
#: what is given as an option, too
_OPTIONS = {"TO_NUMBER": "--to", "FROM_NUMBER": "--from"}


def setting(name: str, given: str | None = None) -> str | None:
    """An argument, else the environment's variable, else what is usual."""
    return given or os.environ.get(name, "").strip() or _USUAL.get(name)


def required(**settings: str | None) -> None:
    """Raise unless all are there, and the client's own with them; names all that are missing.

    If only AUTH_TOKEN is, and a person is there, it is asked for.
    """
    settings = {n: setting(n) for n in ("CM_HOST", "AUTH_TOKEN", "APPID")} | settings
    missing = [name for name, value in settings.items() if not value]
    if missing == ["AUTH_TOKEN"] and sys.stdin and sys.stdin.isatty() and sys.stderr.isatty():
        os.environ["AUTH_TOKEN"] = _asked_for("AUTH_TOKEN")
        missing = [] if os.environ["AUTH_TOKEN"] else missing
    if missing:
        names = [f"{n} (or {_OPTIONS[n]})" if n in _OPTIONS else n for n in missing]
        raise InvalidArgumentError(f"{', '.join(names)} must be set in the environment")


def _asked_for(name: str) -> str:
    """A secret from the terminal, which does not show it; "" if nothing is typed."""
    try:
        return getpass.getpass(f"{name} ({VARIABLES[name].partition(';')[0]}; not shown): ").strip()
    except EOFError:
        return ""


def named(error: InvalidArgumentError) -> str:
    """The error's words, behind the name of the variable or option that was wrong."""
    words = str(error).replace("allow_insecure=True", "--allow-insecure")
    name = _SOURCES.get(re.split(r"[\s\[:]", words, maxsplit=1)[0])
    return f"{name}: {words.removeprefix('path: ')}" if name else words


def rtc_token(app_id: str) -> str:
    """RTC_TOKEN; a project without an App Certificate takes the App ID in place of one."""
    return setting("RTC_TOKEN") or app_id


def dids(given: list[str] | None) -> list[str]:
    """The numbers given, else those in DID."""
    numbers = given or re.split(r"[\s,]+", setting("DID") or "")
    return [number for number in numbers if number]
