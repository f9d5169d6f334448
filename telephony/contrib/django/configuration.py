"""The setting ``TELEPHONY``, read and checked."""

from __future__ import annotations

import contextlib
import math
import os
from typing import Any, Callable, Generator, Mapping

import attrs
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from django.views.decorators.debug import (
    sensitive_variables,
)

from telephony.client import Client
from telephony.config import made_up_client_id
from telephony.errors import InvalidArgumentError

#: The keys that the environment stands in for.
ENVIRONMENT = {
    "HOST": "CM_HOST",
    "AUTH_TOKEN": "AUTH_TOKEN",
    "APP_ID": "APPID",
    "CLIENT_ID": "CLIENT_ID",
}
NEEDED = {
    "HOST": "the Call Manager's host or URL",
    "AUTH_TOKEN": "its credentials, 'Basic …'",
    "APP_ID": "the App ID, or MULTI",
}
#: Options that may be the dotted path of what they are.
DOTTED_OPTIONS = ("token_provider", "callback_context", "hooks")
#: What the client calls the values of these keys.
_KEYS = {"url": "HOST", "auth_token": "AUTH_TOKEN", "app_id": "APP_ID", "client_id": "CLIENT_ID"}


@sensitive_variables("value")  # type: ignore[untyped-decorator]
def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        kind = type(value).__name__  # not the value, which may be a secret
        raise ImproperlyConfigured(f'TELEPHONY["{key}"] must be a string, not {kind}')
    return value.strip()


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ImproperlyConfigured(f'TELEPHONY["{key}"] must be True or False, not {value!r}')
    return value


def _seconds(key: str, value: object) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:  # type: ignore[operator]
        raise ImproperlyConfigured(
            f'TELEPHONY["{key}"] must be seconds, more than 0, not {value!r}'
        )
    return float(value)  # type: ignore[arg-type]


@sensitive_variables("value")  # type: ignore[untyped-decorator]
def _options(key: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        kind = type(value).__name__
        raise ImproperlyConfigured(
            f'TELEPHONY["{key}"] must be a dict of Client options, not {kind}'
        )
    return dict(value)


def imported(key: str, path: str) -> Any:
    """What the dotted *path* leads to; ``ImproperlyConfigured`` names *key* if that is nothing."""
    try:
        return import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f'TELEPHONY["{key}"]: {path!r} cannot be imported: {error}'
        ) from error


@attrs.frozen(kw_only=True)
class Configuration:
    """What ``TELEPHONY`` says. Text that is not there is ``""``."""

    host: str = attrs.field(default="", repr=False)
    auth_token: str = attrs.field(default="", repr=False)
    app_id: str = ""
    client_id: str = ""
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    webhook_secret: str = attrs.field(default="", repr=False)
    lookup: str = ""
    database: str = ""
    records: bool = True
    record_digits: bool = True
    connect_timeout: float = 5.0
    hangup_at_exit: bool = False
    inbound: bool = False

    @classmethod
    @sensitive_variables()  # type: ignore[untyped-decorator]  # error reports show variables
    def read(cls) -> Configuration:
        """The setting as it is now, else the environment, else the defaults.

        Raises ``ImproperlyConfigured`` for an unknown key and for a value of the wrong kind.
        """
        given = getattr(settings, "TELEPHONY", None)
        if given is None:
            given = {}
        if not isinstance(given, Mapping):
            raise ImproperlyConfigured(f"TELEPHONY must be a dict, not {type(given).__name__}")
        unknown = sorted(str(key) for key in given if key not in _READERS)
        if unknown:
            raise ImproperlyConfigured(
                f"TELEPHONY has no key {', '.join(unknown)}; there are {', '.join(_READERS)}"
            )
        values: dict[str, Any] = {}
        for key, read in _READERS.items():
            value = given.get(key)
            if value in (None, "") and key in ENVIRONMENT:
                value = os.environ.get(ENVIRONMENT[key])
            if value is not None:
                values[key.lower()] = read(key, value)
        return cls(**values)

    @property
    def missing(self) -> dict[str, str]:
        """The keys that a client needs and that are empty, and what each is."""
        return {key: what for key, what in NEEDED.items() if not getattr(self, key.lower())}

    @sensitive_variables()  # type: ignore[untyped-decorator]
    def client(
        self,
        callback_context: Callable[[], Any] | None = None,
        *,
        exact_id: bool = False,
        kind: type[Client] = Client,
    ) -> Client:
        """A client for this account, of class *kind*, not connected.

        *callback_context* is entered around every callback, outside of one in the options. The
        ``CLIENT_ID`` is the client's own name with *exact_id*, else what its made-up name begins
        with. Raises ``ImproperlyConfigured`` naming what is missing or wrong.
        """
        if self.missing:
            names = [
                f'TELEPHONY["{key}"] or {ENVIRONMENT[key]} in the environment ({what})'
                for key, what in self.missing.items()
            ]
            raise ImproperlyConfigured(f"{', '.join(names)} must be set")
        options = dict(self.options)
        for name in DOTTED_OPTIONS:
            if isinstance(options.get(name), str):
                options[name] = imported(f'OPTIONS"]["{name}', options[name])
        own = options.get("callback_context")
        if callback_context is not None:
            options["callback_context"] = _nested(callback_context, own)
        client_id = self.client_id or None
        if client_id and not exact_id:
            client_id = f"{client_id}-{made_up_client_id()}"
        try:
            if own is not None and not callable(own):
                raise InvalidArgumentError("callback_context must be a function or None")
            return kind(self.host, self.auth_token, client_id, self.app_id, **options)
        except (InvalidArgumentError, TypeError) as error:
            key = _KEYS.get(str(error).partition(" ")[0], "OPTIONS")
            raise ImproperlyConfigured(f'TELEPHONY["{key}"]: {error}') from None


_READERS: Mapping[str, Callable[[str, object], Any]] = {
    "HOST": _text,
    "AUTH_TOKEN": _text,
    "APP_ID": _text,
    "CLIENT_ID": _text,
    "OPTIONS": _options,
    "WEBHOOK_SECRET": _text,
    "LOOKUP": _text,
    "DATABASE": _text,
    "RECORDS": _flag,
    "RECORD_DIGITS": _flag,
    "CONNECT_TIMEOUT": _seconds,
    "HANGUP_AT_EXIT": _flag,
    "INBOUND": _flag,
}


def _nested(outer: Callable[[], Any], inner: Callable[[], Any] | None) -> Callable[[], Any]:
    if inner is None:
        return outer

    @contextlib.contextmanager
    def both() -> Generator[None, None, None]:
        with outer(), inner():
            yield

    return both
