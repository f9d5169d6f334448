"""The process's one client."""

from __future__ import annotations

import atexit
import contextlib
from typing import Iterator

import attrs
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections

from telephony.client import Client
from telephony.contrib.django.configuration import Configuration
from telephony.contrib.django.signals import SIGNALS
from telephony.errors import ForkedClientError
from telephony.protocol.events import CallIncoming, Event
from telephony.protocol.states import ConnectionState
from telephony.runtime.lock import ProcessLock

#: The app's name in INSTALLED_APPS.
APP = "telephony.contrib.django"


class _ProcessClient(Client):
    """A client that leaves word in the records of the calls that it hears no more of."""

    def close(self, drain: float = 0, hangup_active: bool = False) -> None:
        calls = []
        with contextlib.suppress(ForkedClientError):
            calls = self.calls()
        super().close(drain=drain, hangup_active=hangup_active)
        if calls:
            from telephony.contrib.django.delivery import leave

            leave(calls)


_lock = ProcessLock()  # guards the making of _current
_current: tuple[Client, Configuration] | None = None
_at_exit = False


def get_client() -> Client:
    """The process's one client, connected.

    Made and connected by the first call, connected anew in a forked child and made anew after
    ``close_client``. What happens to its calls goes to the signals and the records. Blocks while it
    connects, at most ``TELEPHONY["CONNECT_TIMEOUT"]`` seconds (5), and not at all once connected.

    Raises ``ConnectError`` (or ``RegistrationError``) when the Call Manager cannot be reached, and
    ``ImproperlyConfigured`` naming the setting that is missing or wrong.
    """
    client, configuration = _made()
    client.connect(timeout=configuration.connect_timeout)
    return client


def close_client(drain: float = 0, hangup_active: bool = False) -> None:
    """Close the process's client, if there is one; the next ``get_client`` makes another.

    For tests, and for a worker that ends. The arguments are those of ``Client.close``: *drain*
    seconds at most for callbacks that still run; whether to hang up every active call first.
    """
    global _current
    with _lock:
        current, _current = _current, None
    if current is not None:
        current[0].close(drain=drain, hangup_active=hangup_active)


def current_client() -> Client | None:
    """The process's client if it is connected, or was; makes none, and blocks for nothing."""
    client = None if _current is None else _current[0]
    # In a forked child it is the parent's until it is connected here.
    return client if client is not None and client.state is not ConnectionState.IDLE else None


def listening_client(client_id: str | None = None) -> Client:
    """Make the process's client as one that takes calls that come in; not connected.

    *client_id* (None: ``CLIENT_ID``) is its exact name: under the same one, the Call Manager goes
    on telling it of the calls that it had before a restart.
    """
    return _made(listening=True, client_id=client_id)[0]


def _made(
    *, listening: bool = False, client_id: str | None = None
) -> tuple[Client, Configuration]:
    global _current, _at_exit
    current = _current
    if current is None or current[0].closed:
        with _lock:
            current = _current
            if current is None or current[0].closed:
                if not apps.is_installed(APP):
                    raise ImproperlyConfigured(f'"{APP}" must be in INSTALLED_APPS')
                configuration = Configuration.read()
                if client_id:
                    configuration = attrs.evolve(configuration, client_id=client_id)
                client = configuration.client(
                    fresh_connections, exact_id=listening, kind=_ProcessClient
                )
                _register(client, inbound=listening or configuration.inbound)
                _current = current = client, configuration
                if not _at_exit:
                    atexit.register(_close_at_exit)
                    _at_exit = True
    return current


def _register(client: Client, *, inbound: bool) -> None:
    # Not on(Event): without a callback for them, calls that come in go to others at once.
    for kind in SIGNALS:
        if inbound or kind is not CallIncoming:
            client.on(kind, _told)


def _told(event: Event) -> bool:
    from telephony.contrib.django.delivery import deliver  # its models want the apps loaded

    return deliver(event, "websocket")


@contextlib.contextmanager
def fresh_connections() -> Iterator[None]:
    """What Django does around a request: the client's threads have connections of their own."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


def _close_at_exit() -> None:
    current = _current
    if current is not None:
        client, configuration = current
        # In a forked child that never connected this closes its copy of the descriptor only.
        client.close(hangup_active=configuration.hangup_at_exit)
