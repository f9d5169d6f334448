"""What is set in the Celery app's configuration, checked."""

from __future__ import annotations

import logging
import os
import re
from typing import Any, Callable, Mapping
from urllib.parse import urlsplit

import attrs
from celery.exceptions import ImproperlyConfigured
from kombu.utils.imports import symbol_by_name
from redis.connection import parse_url

from telephony.client import Client
from telephony.config import ClientOptions
from telephony.errors import InvalidArgumentError
from telephony.protocol.events import CALL_EVENTS

log = logging.getLogger("telephony")

#: Options of ``Client`` that are given by these keys of their own, or that are ours to give.
_OWN = ("url", "auth_token", "client_id", "app_id")
_REDIS = ("redis://", "rediss://", "unix://")
#: A shorter lease would be lost to any pause of the machine's.
LEASE_LEAST = 1.0
#: What a task can be told of.
_EVENTS = {*CALL_EVENTS, "call_orphaned", "gap", "*"}


def _name(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ImproperlyConfigured(f"{key} must be a name, not {value!r}")
    return value


def _seconds(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise ImproperlyConfigured(f"{key} must be a number of seconds above 0, not {value!r}")
    return float(value)


def _lease(key: str, value: Any) -> float:
    if _seconds(key, value) < LEASE_LEAST:
        raise ImproperlyConfigured(f"{key} must be at least {LEASE_LEAST:g} s, not {value!r}")
    return float(value)


def _events(key: str, value: Any) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{key} must be a dict of event names and task names")
    targets: dict[str, tuple[str, ...]] = {}
    for event, tasks in value.items():
        names = (tasks,) if isinstance(tasks, str) else tasks
        if not isinstance(names, (list, tuple)) or not names or not all(
            isinstance(name, str) and name for name in names
        ):
            raise ImproperlyConfigured(
                f"{key}[{event!r}] must be the name of a task, or a list of them, not {tasks!r}"
            )
        if not re.fullmatch(r"[a-z0-9_]+|\*", _name(f"the names of events in {key}", event)):
            raise ImproperlyConfigured(
                f"{key}: {event!r} is no event's name; they are the wire's, such as call_hangup"
            )
        if event not in _EVENTS:
            log.warning("%s: no event is known by the name %s; it may be a new one", key, event)
        targets[event] = tuple(names)
    return targets


def _redis_url(key: str, value: Any) -> str:
    """*value*, which may have a password and so is never shown."""
    if not isinstance(value, str) or not value.startswith(_REDIS):
        raise ImproperlyConfigured(f"{key} must begin with redis://, rediss:// or unix://")
    try:
        parse_url(value)  # type: ignore[no-untyped-call]
        database = "" if value.startswith("unix:") else urlsplit(value).path.strip("/")
        if database and not database.isdecimal():
            raise ValueError
    except ValueError:
        raise ImproperlyConfigured(f"{key} has a port or a database that is no number") from None
    return value


def _imported(key: str, path: Any) -> Any:
    try:
        return symbol_by_name(path)  # type: ignore[no-untyped-call]
    except (ImportError, AttributeError, ValueError) as error:
        raise ImproperlyConfigured(f"{key}: {path!r} cannot be imported: {error}") from error


def _options(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{key} must be a dict of Client's options, or the path to one")
    for name in _OWN:
        if name in value:
            raise ImproperlyConfigured(f"{key} must not hold {name}, which is set by itself")
    unknown = sorted(str(name) for name in value if name not in ClientOptions.__annotations__)
    if unknown:
        raise ImproperlyConfigured(f"{key}: there is no option {', '.join(unknown)}")
    return value


_DEFAULTS: Mapping[str, tuple[Callable[[str, Any], Any], Any]] = {
    "prefix": (_name, "telephony"),
    "queue": (_name, "telephony"),
    "events": (_events, {}),
    "lease": (_lease, 10.0),
    "keep_active": (_seconds, 86400.0),
    "keep_ended": (_seconds, 3600.0),
    "command_expires": (_seconds, 60.0),
}
_KNOWN = {
    *_DEFAULTS, "host", "auth_token", "app_id", "options", "redis_url", "events_queue"
}


@attrs.frozen(kw_only=True)
class Settings:
    """The configuration keys, each without its ``telephony_``; see the documentation of each.

    ``host``, ``auth_token`` and ``app_id`` are None where they are not set: only workers need them.
    """

    redis_url: str = attrs.field(repr=False)
    prefix: str
    queue: str
    events: Mapping[str, tuple[str, ...]]
    events_queue: str | None
    lease: float
    keep_active: float
    keep_ended: float
    command_expires: float
    host: str | None
    auth_token: str | None = attrs.field(repr=False)
    app_id: str | None
    options: Mapping[str, Any] | str = attrs.field(repr=False)

    @classmethod
    def of(cls, app: Any) -> Settings:
        """Those of a Celery app; raises ``ImproperlyConfigured`` naming the key that is wrong."""
        conf = app.conf
        for key in list(conf.keys()):
            name = key.lower().rpartition("telephony_")
            if name[1] and name[0] in ("", "celery_") and name[2] not in _KNOWN:
                raise ImproperlyConfigured(f"there is no setting {key}")
        given: dict[str, Any] = {}
        for name_, (check, default) in _DEFAULTS.items():
            value = conf.get(f"telephony_{name_}")
            given[name_] = check(f"telephony_{name_}", default if value is None else value)
        queue = conf.get("telephony_events_queue")
        options = conf.get("telephony_options")
        settings = cls(
            **given,
            redis_url=_redis_of(conf),
            events_queue=None if queue is None else _name("telephony_events_queue", queue),
            host=conf.get("telephony_host") or os.environ.get("CM_HOST") or None,
            auth_token=conf.get("telephony_auth_token") or os.environ.get("AUTH_TOKEN") or None,
            app_id=conf.get("telephony_app_id") or os.environ.get("APPID") or None,
            options=options if isinstance(options, str) else _options(
                "telephony_options", {} if options is None else options
            ),
        )
        if settings.host and settings.auth_token and settings.app_id and not settings._has_paths():
            settings.client("checked")  # which touches no network
        return settings

    def _has_paths(self) -> bool:
        """Whether something is to be imported: perhaps from the module that is being imported now.
        """
        return isinstance(self.options, str) or isinstance(self.options.get("token_provider"), str)

    def client_options(self) -> dict[str, Any]:
        """The options of a client, with what they name by its path."""
        key, given = "telephony_options", self.options
        options = dict(_options(key, _imported(key, given) if isinstance(given, str) else given))
        if isinstance(options.get("token_provider"), str):
            path = options["token_provider"]
            options["token_provider"] = _imported(f"{key}['token_provider']", path)
        return options

    def client(self, name: str) -> Client:
        """A client for the line *name*, not connected; ``ImproperlyConfigured`` if it cannot be."""
        keys = {"host": "CM_HOST", "auth_token": "AUTH_TOKEN", "app_id": "APPID"}
        missing = [f"telephony_{key} (or {keys[key]})" for key in keys if not getattr(self, key)]
        if missing:
            raise ImproperlyConfigured(
                f"{', '.join(missing)} must be set for a worker that consumes {self.queue}"
            )
        assert self.host and self.auth_token and self.app_id
        try:
            return Client(self.host, self.auth_token, name, self.app_id, **self.client_options())
        except (InvalidArgumentError, TypeError) as error:
            raise ImproperlyConfigured(f"telephony_options and telephony_host: {error}") from None

    def targets(self, event: str) -> tuple[str, ...]:
        """The names of the tasks that are told of *event*."""
        return tuple(dict.fromkeys((*self.events.get(event, ()), *self.events.get("*", ()))))

    def queue_of(self, line: str) -> str:
        """The queue of the commands for the calls of *line*."""
        return f"{self.queue}.{line}"


def _redis_of(conf: Any) -> str:
    url = conf.get("telephony_redis_url")
    if url is not None:
        return _redis_url("telephony_redis_url", url)
    for key in ("broker_url", "result_backend"):
        url = conf.get(key)
        for one in [url] if isinstance(url, str) else list(url or ()):
            first = one.split(";")[0].replace("redis+socket://", "unix://")
            if first.startswith(_REDIS):
                return _redis_url(key, first)
    raise ImproperlyConfigured(
        "telephony_redis_url must be set: neither the broker nor the result backend is a Redis "
        "server at redis://, rediss:// or unix://"
    )
