"""The client's options, checked once, and where they come from."""

from __future__ import annotations

import os
import re
import secrets
import socket
import ssl
from typing import Any, Callable, ContextManager, Iterable, Literal, Mapping, TypedDict, Union
from urllib.parse import urlsplit

import attrs

from telephony.errors import InvalidArgumentError
from telephony.hooks import Hooks
from telephony.hooks import checked as checked_hooks
from telephony.protocol.commands import checked_numbers, checked_seconds, checked_text
from telephony.runtime.backoff import Backoff
from telephony.runtime.connection import ConnectionOptions
from telephony.runtime.handshake import is_loopback
from telephony.runtime.transport import Transport, TransportOptions

PATH = "/v1/ws/events"

TokenProvider = Callable[[str, str, Union[str, None]], str]


class ClientOptions(TypedDict, total=False):
    """The options of ``Client``, for type checkers; what they mean is said there."""

    subscribe_numbers: Iterable[str] | None
    connect_timeout: float
    command_timeout: float
    dial_timeout: float
    ping_interval: float
    ping_timeout: float
    reconnect: bool | Backoff
    workers: int
    token_provider: TokenProvider | None
    orphan_policy: Literal["hangup", "keep"]
    callback_context: Callable[[], ContextManager[Any]] | None
    send_timeout: float
    ssl_context: ssl.SSLContext | None
    headers: Mapping[str, str] | None
    proxy: str | Literal[False] | None
    max_message_size: int
    stale_timeout: float
    allow_insecure: bool
    hooks: object | None


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def checked_url(url: object, *, allow_insecure: bool) -> str:
    """The WebSocket URL for *url*, which may be a bare host."""
    if isinstance(url, str) and not url.strip():
        raise InvalidArgumentError("url must not be empty")
    text = checked_text("url", url)
    if any(c.isspace() for c in text):
        raise InvalidArgumentError("url must not hold spaces")
    if "://" not in text:
        text = f"wss://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:  # whose words may quote a password
        raise InvalidArgumentError(
            "url cannot be read: its port or its [address] is wrong"
        ) from None
    if parts.scheme not in ("ws", "wss"):
        raise InvalidArgumentError(f"url must begin with wss:// (or ws://), not {parts.scheme}://")
    if not host or port == 0:
        raise InvalidArgumentError("url names no host (or port 0): wss://HOST is enough")
    if parts.username is not None or parts.password is not None:
        raise InvalidArgumentError("url must not hold credentials: pass auth_token instead")
    if parts.fragment:
        raise InvalidArgumentError("url must not have a #fragment")
    if parts.scheme == "ws" and not allow_insecure and not is_loopback(host):
        raise InvalidArgumentError(
            f"url is cleartext (ws://) to {host}, which is not this machine: use wss://, "
            "or pass allow_insecure=True to send the credentials in the clear"
        )
    path = PATH if parts.path in ("", "/") else parts.path
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{path}{query}"


def made_up_client_id() -> str:
    """Host, process and chance: no two clients share one."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise InvalidArgumentError("headers must be a dict of names and values")
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidArgumentError("headers: one of the names is not a header name")
        if not isinstance(text, str) or not text.isprintable():
            raise InvalidArgumentError(f"headers: the value of {name} must be one line of text")
    return tuple(value.items())


def _proxy(value: object) -> str | Literal[False] | None:
    if value is None or value is False:
        return value
    proxy = checked_text("proxy", value)
    try:
        parts = urlsplit(proxy)
        valid = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise InvalidArgumentError("proxy must be http://HOST:PORT, False, or None")
    return proxy


def _reconnect(value: object) -> Backoff | None:
    if value is True:
        return Backoff()
    if value is False:
        return None
    if isinstance(value, Backoff):
        return value
    raise InvalidArgumentError(f"reconnect must be True, False or a Backoff, not {value!r}")


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArgumentError(f"{name} must be a whole number, 1 or more, not {value!r}")
    return value


def _function(name: str, value: Any) -> Any:
    if value is not None and not callable(value):
        raise InvalidArgumentError(f"{name} must be a function or None, not {value!r}")
    return value


@attrs.frozen(kw_only=True, eq=False)
class Options:
    """What a client was made with, checked."""

    url: str = attrs.field(repr=False)  # its query may hold what is not to be shown
    auth_token: str = attrs.field(repr=False)
    client_id: str
    client_id_made_up: bool
    app_id: str
    subscribe_numbers: tuple[str, ...]
    connection: ConnectionOptions
    command_timeout: float
    dial_timeout: float
    workers: int
    token_provider: TokenProvider | None
    keep_orphans: bool
    callback_context: Callable[[], ContextManager[Any]] | None
    stale_timeout: float
    hooks: Hooks | None = attrs.field(repr=False)

    @classmethod
    def checked(
        cls,
        url: str,
        auth_token: str,
        client_id: str | None,
        app_id: str,
        *,
        subscribe_numbers: Any,
        connect_timeout: float,
        command_timeout: float,
        dial_timeout: float,
        ping_interval: float,
        ping_timeout: float,
        reconnect: bool | Backoff,
        workers: int,
        token_provider: TokenProvider | None,
        orphan_policy: str,
        callback_context: Callable[[], ContextManager[Any]] | None,
        send_timeout: float,
        ssl_context: ssl.SSLContext | None,
        headers: Mapping[str, str] | None,
        proxy: str | Literal[False] | None,
        max_message_size: int,
        stale_timeout: float,
        allow_insecure: bool,
        hooks: object,
    ) -> Options:
        """Raises ``InvalidArgumentError`` naming the first argument that is wrong."""
        if orphan_policy not in ("hangup", "keep"):
            raise InvalidArgumentError(
                f"orphan_policy must be 'hangup' or 'keep', not {orphan_policy!r}"
            )
        if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
            raise InvalidArgumentError("ssl_context must be an ssl.SSLContext or None")
        if not isinstance(allow_insecure, bool):
            raise InvalidArgumentError(f"allow_insecure must be a bool, not {allow_insecure!r}")
        url = checked_url(url, allow_insecure=allow_insecure)
        transport = TransportOptions(
            ssl_context=ssl_context,
            headers=_headers(headers),
            proxy=_proxy(proxy),
            max_message_size=_whole("max_message_size", max_message_size),
        )
        Transport(url, transport)  # what it refuses is refused here, not when connecting
        connection = ConnectionOptions(
            url=url,
            transport=transport,
            connect_timeout=checked_seconds("connect_timeout", connect_timeout),
            ping_interval=checked_seconds("ping_interval", ping_interval),
            ping_timeout=checked_seconds("ping_timeout", ping_timeout),
            send_timeout=checked_seconds("send_timeout", send_timeout),
            reconnect=_reconnect(reconnect),
        )
        return cls(
            url=connection.url,
            auth_token=checked_text("auth_token", auth_token),
            client_id=made_up_client_id()
            if client_id is None
            else checked_text("client_id", client_id),
            client_id_made_up=client_id is None,
            app_id=checked_text("app_id", app_id),
            subscribe_numbers=()
            if subscribe_numbers is None
            else checked_numbers("subscribe_numbers", subscribe_numbers),
            connection=connection,
            command_timeout=checked_seconds("command_timeout", command_timeout),
            dial_timeout=checked_seconds("dial_timeout", dial_timeout),
            workers=_whole("workers", workers),
            token_provider=_function("token_provider", token_provider),
            keep_orphans=orphan_policy == "keep",
            callback_context=_function("callback_context", callback_context),
            stale_timeout=checked_seconds("stale_timeout", stale_timeout),
            hooks=checked_hooks(hooks),
        )

    def for_child(self) -> Options:
        """The same for a forked child, under a name of its own.

        The CM lets only one client have a name: with ours the child would end our connection.
        """
        own = made_up_client_id() if self.client_id_made_up else f"{self.client_id}-{os.getpid()}"
        return attrs.evolve(self, client_id=own)


def from_environment() -> tuple[str, str, str | None, str]:
    """URL, auth token, client id (or None) and App ID from the environment.

    Raises ``InvalidArgumentError`` naming every variable that is missing.
    """
    names = {
        "CM_HOST": "the Call Manager's host or URL",
        "AUTH_TOKEN": "its credentials, 'Basic …'",
        "APPID": "the App ID, or MULTI",
    }
    missing = [f"{n} ({what})" for n, what in names.items() if not os.environ.get(n, "").strip()]
    if missing:
        raise InvalidArgumentError(f"{', '.join(missing)} must be set in the environment")
    url, auth_token, app_id = (os.environ[name] for name in names)
    return url, auth_token, os.environ.get("CLIENT_ID") or None, app_id
