"""The client in a Flask app; needs ``pip install "agora-telephony[flask]"``.

::

    from telephony import CallHangup
    from telephony.contrib.flask import Telephony

    app = Flask(__name__)
    telephony = Telephony(app)          # or Telephony(), and init_app(app) later

    @app.post("/calls")
    def place_call():
        call = telephony.client.dial(...)

    @telephony.on(CallHangup)
    def ended(event):                   # in an app context
        current_app.logger.info("%s ended", event.call)
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import weakref
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Generator, TypeVar
from typing import cast, overload

try:
    import click
    from flask import Blueprint, Flask, Response, current_app, has_app_context, jsonify, request
    from flask.cli import AppGroup
    from flask.helpers import get_debug_flag
except ImportError as missing:
    raise ImportError(
        'telephony.contrib.flask needs Flask: pip install "agora-telephony[flask]"'
    ) from missing

from telephony.client import Client
from telephony.config import ClientOptions, made_up_client_id
from telephony.contrib.webhooks import DELIVERY_HEADER, MAX_BODY, Channel, Lookup, Reply
from telephony.contrib.webhooks import Webhooks
from telephony.errors import InvalidArgumentError, TelephonyError
from telephony.handlers import Match, Registration
from telephony.protocol.commands import checked_seconds
from telephony.protocol.events import CallIncoming, Event
from telephony.runtime.lock import ProcessLock

if TYPE_CHECKING:  # Python 3.10 has none of its own
    from typing_extensions import Unpack

log = logging.getLogger("telephony")

E = TypeVar("E", bound=Event)
R = TypeVar("R")
F = TypeVar("F", bound=Callable[[Lookup], "Channel | None"])

#: The keys of the configuration that stand for an argument of ``Client``, and the variables of the
#: environment in their place.
_ACCOUNT = {
    "url": ("TELEPHONY_HOST", "CM_HOST"),
    "auth_token": ("TELEPHONY_AUTH_TOKEN", "AUTH_TOKEN"),
    "app_id": ("TELEPHONY_APP_ID", "APPID"),
    "client_id": ("TELEPHONY_CLIENT_ID", "CLIENT_ID"),
}
_SECRET = "TELEPHONY_WEBHOOK_SECRET"
#: Where an app keeps its line.
_LINE = "telephony.line"


class _Line:
    """One app's client, which is another one in each process."""

    def __init__(self, app: Flask, telephony: Telephony) -> None:
        self.app = app
        self.telephony = telephony
        self.client: Client | None = None
        self.listens = False  # as `flask telephony listen`
        self.connect_timeout: float | None = None
        self.hangup_at_exit = False

    def connected(self) -> Client:
        client = self.made()
        client.connect(self.connect_timeout)
        return client

    def made(self) -> Client:
        """The client, perhaps not connected (yet, or in this process)."""
        with self.telephony._lock:
            if self.client is None:
                self.client = self._make()
                _used.add(self)
            return self.client

    def _make(self) -> Client:
        account = {name: self._account(name) for name in _ACCOUNT}
        missing = [
            f"{key} (or {variable} in the environment)"
            for name, (key, variable) in _ACCOUNT.items()
            if account[name] is None and name != "client_id"
        ]
        if missing:
            raise InvalidArgumentError(f"the app's configuration lacks {', '.join(missing)}")
        if account["client_id"] is not None:
            # Workers and machines are configured alike, but no two clients may have one name.
            account["client_id"] = f"{account['client_id']}-{made_up_client_id()}"
        config = self.app.config
        timeout = config.get("TELEPHONY_CONNECT_TIMEOUT")
        if timeout is not None:
            checked_seconds("TELEPHONY_CONNECT_TIMEOUT", timeout)
        self._flag("TELEPHONY_INBOUND")
        hangup_at_exit = self._flag("TELEPHONY_HANGUP_AT_EXIT")
        options = {**self.telephony._options, **self._options()}
        options["callback_context"] = _within(self.app, options.get("callback_context"))
        try:
            client = Client(**account, **options)
        except InvalidArgumentError as error:
            key, _ = _ACCOUNT.get(str(error).split()[0], ("TELEPHONY_OPTIONS", ""))
            raise InvalidArgumentError(f"the app's configuration, {key}: {error}") from None
        self.connect_timeout, self.hangup_at_exit = timeout, hangup_at_exit
        for registration, match in self.telephony._registrations:
            if self.takes(registration):
                client.on(registration.event_type, registration.fn, **match)
        return client

    def _account(self, name: str) -> Any:
        key, variable = _ACCOUNT[name]
        value = self.app.config.get(key)
        return (os.environ.get(variable, "").strip() or None) if value in (None, "") else value

    def _flag(self, key: str) -> bool:
        value = self.app.config.get(key, False)
        if not isinstance(value, bool):  # "false", for one, would count as true
            raise InvalidArgumentError(f"{key} must be True or False, not {value!r}")
        return value

    def _options(self) -> dict[str, Any]:
        options = self.app.config.get("TELEPHONY_OPTIONS")
        if options is None:
            return {}
        if not isinstance(options, dict):
            raise InvalidArgumentError(
                f"TELEPHONY_OPTIONS must be a dict, not {type(options).__name__}"
            )
        _check_names("TELEPHONY_OPTIONS", options)
        return options

    def takes(self, registration: Registration) -> bool:
        """Whether the callback is one for this process: calls coming in are not for all."""
        if not issubclass(registration.event_type, CallIncoming):
            return True
        return self.listens or self._flag("TELEPHONY_INBOUND")

    def listen(self) -> None:
        """From now on this is the process that answers."""
        with self.telephony._lock:
            before = [each for each in self.telephony._registrations if not self.takes(each[0])]
            self.listens = True
            if self.client is not None:  # the app's module connects
                for registration, match in before:
                    self.client.on(registration.event_type, registration.fn, **match)

    def close(self, hangup_active: bool | None = None) -> None:
        _used.discard(self)
        if self.client is not None:
            self.client.close(
                hangup_active=self.hangup_at_exit if hangup_active is None else hangup_active
            )


#: The lines that have a client, to be closed at exit.
_used: set[_Line] = set()


def _close_all() -> None:
    # In a forked child that has not connected itself this closes a descriptor, and no more.
    for line in list(_used):
        line.close()


atexit.register(_close_all)


def _check_names(where: str, options: dict[str, Any]) -> None:
    unknown = sorted(str(name) for name in options if name not in ClientOptions.__annotations__)
    if unknown:
        raise InvalidArgumentError(f"{where}: there is no option {', '.join(unknown)}")


def _within(app: Flask, given: Any) -> Any:
    """The context of callbacks: the app's, and inside it the one that was *given*."""
    if given is None:
        return app.app_context
    if not callable(given):
        return given  # the client says what is wrong with it
    inside = cast("Callable[[], ContextManager[Any]]", given)

    @contextlib.contextmanager
    def both() -> Generator[None, None, None]:
        with app.app_context(), inside():
            yield

    return both


def _in_reloaders_parent() -> bool:
    """Whether this is the process of ``flask run`` that only watches the files."""
    if os.environ.get("WERKZEUG_RUN_MAIN") == "true":
        return False
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "run" or "reload" not in context.params:
        return False
    reload = context.params["reload"]
    return get_debug_flag() if reload is None else bool(reload)


class _Lazy:
    """The line's client to the calls of webhooks: it is connected when one sends a command."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def call(self, call_id: str) -> Any:
        client = self._line.client
        return None if client is None else client.call(call_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line.connected(), name)


class Telephony:
    """The Flask extension: one client for each process, connected when it is first used.

    ``Telephony(app)``, or ``Telephony()`` and ``init_app(app)`` later. *client_options* are the
    options of ``Client``; ``callback_context`` is entered inside the app's. These keys of
    ``app.config`` are read at first use:

    ============================== ==========================================================
    ``TELEPHONY_HOST``             the Call Manager's host or URL (else ``CM_HOST`` in the
                                   environment)
    ``TELEPHONY_AUTH_TOKEN``       its credentials, ``"Basic …"`` (else ``AUTH_TOKEN``)
    ``TELEPHONY_APP_ID``           the App ID, or ``"MULTI"`` (else ``APPID``)
    ``TELEPHONY_CLIENT_ID``        what the name of each process's client begins with (else
                                   ``CLIENT_ID``); the rest is made up, as no two may have one
    ``TELEPHONY_OPTIONS``          a dict of ``Client`` options; they go before
                                   *client_options*
    ``TELEPHONY_CONNECT_TIMEOUT``  seconds a connect may take (else the client's
                                   ``connect_timeout``, 10)
    ``TELEPHONY_HANGUP_AT_EXIT``   True: a process that ends hangs up its calls. Else they stay up
    ``TELEPHONY_INBOUND``          True: each process answers calls that come in. Else only
                                   ``flask telephony listen`` does
    ``TELEPHONY_WEBHOOK_SECRET``   what ``webhooks_blueprint`` wants as ``Authorization``
    ============================== ==========================================================

    Importing an app needs none of it and no network: what is missing or wrong is an
    ``InvalidArgumentError`` at first use. Several apps may share one object: each has its own
    client, and the app of the current context is meant, or the only one there is.

    Each client is closed when its process ends, which blocks for no more than about 2 s; not when
    that is killed by a signal that nothing handles.

    Raises ``InvalidArgumentError`` naming an option that ``Client`` does not have.
    """

    def __init__(self, app: Flask | None = None, **client_options: Unpack[ClientOptions]) -> None:
        options: dict[str, Any] = {**client_options}
        _check_names("Telephony", options)
        self._options = options
        self._lock = ProcessLock()  # guards what follows, and the making of a line's client
        self._registrations: list[tuple[Registration, dict[str, Any]]] = []
        self._lines: weakref.WeakSet[_Line] = weakref.WeakSet()
        self._finder: Callable[[Lookup], Channel | None] | None = None
        if app is not None:
            self.init_app(app)

    def __repr__(self) -> str:
        return f"<Telephony of {len(self._lines)} apps, {len(self._registrations)} callbacks>"

    def init_app(self, app: Flask) -> None:
        """Serve *app* too: ``app.extensions["telephony"]``, and ``flask telephony``.

        Touches no network. Raises ``RuntimeError`` if the app has one of these already.
        """
        if "telephony" in app.extensions:
            raise RuntimeError(f"the app {app.name} has a Telephony already")
        app.extensions["telephony"] = self
        app.extensions[_LINE] = line = _Line(app, self)
        self._lines.add(line)
        app.cli.add_command(_commands(line))

    # --- the client --------------------------------------------------------------------------

    @property
    def client(self) -> Client:
        """This process's client, connected: at first use, and anew after a fork.

        Costs next to nothing while it is connected; else blocks for as long as a connect may
        take. Raises ``ConnectError`` (or its ``RegistrationError``), ``InvalidArgumentError``
        for what the configuration lacks, ``ClientClosedError`` after ``close``.
        """
        return self._line().connected()

    def connect(self, app: Flask | None = None) -> None:
        """Connect now rather than at first use: for a server's hook that runs in each worker.

        *app* is needed outside an app context where there are several. Blocks and raises as
        ``client`` does. In the process of ``flask run`` that only watches the files it does
        nothing.
        """
        if not _in_reloaders_parent():
            self._line(app).connected()

    def close(self, app: Flask | None = None, *, hangup_active: bool | None = None) -> None:
        """Close this process's client for good, if there is one; it is no error if there is not.

        *hangup_active*: hang up its calls first (None: as ``TELEPHONY_HANGUP_AT_EXIT`` says).
        Blocks about 2 s at most, see ``Client.close``. It need not be called: it is, at exit.
        """
        self._line(app).close(hangup_active)

    def _line(self, app: Flask | None = None) -> _Line:
        if app is None and has_app_context():
            app = current_app
        if app is not None:
            line: _Line | None = app.extensions.get(_LINE)
            if line is None or line.telephony is not self:
                raise RuntimeError(f"the app {app.name} is not known: call init_app(app) first")
            return line
        lines = list(self._lines)
        if len(lines) == 1:
            return lines[0]
        what = "several apps" if lines else "no app"
        raise RuntimeError(f"there is {what}, and no app context that says which is meant")

    # --- callbacks -----------------------------------------------------------------------------

    @overload
    def on(
        self, event_type: type[E], fn: None = None, **match: Unpack[Match]
    ) -> Callable[[Callable[[E], R]], Callable[[Any], R]]: ...  # so that they can be stacked

    @overload
    def on(
        self, event_type: type[E], fn: Callable[[E], R], **match: Unpack[Match]
    ) -> Callable[[E], R]: ...

    def on(
        self, event_type: type[E], fn: Callable[[E], Any] | None = None, **match: Unpack[Match]
    ) -> Any:
        """Call *fn* with each event of this type, as ``Client.on`` does; returns *fn*.

        It may be used before ``init_app``, where the module is imported. *fn* is called in an app
        context of its own, on a thread of the client's, in the process whose client has the
        call; for events that came to ``webhooks_blueprint``, in the request. Callbacks for
        ``CallIncoming`` are called by ``flask telephony listen`` only, unless
        ``TELEPHONY_INBOUND`` is set: web processes leave calls that come in alone.

        Raises ``InvalidArgumentError`` for what is no event class, no function or no field to
        filter by.
        """
        if fn is None:

            def register(fn: Callable[[E], R]) -> Callable[[Any], R]:
                return self.on(event_type, fn, **match)

            return register
        registration = Registration.make(event_type, fn, match)
        with self._lock:
            self._registrations.append((registration, {**match}))
            for line in self._lines:
                if line.client is not None and line.takes(registration):
                    line.client.on(event_type, fn, **match)
        return fn

    def off(self, fn: Callable[..., Any]) -> None:
        """Call *fn* no more, for any event it was registered for; none at all is no error."""
        with self._lock:
            self._registrations = [each for each in self._registrations if each[0].fn != fn]
            for line in self._lines:
                if line.client is not None:
                    line.client.off(fn)

    def handle(self, event: Event) -> None:
        """Call the callbacks registered with ``on`` that want *event*, here and now.

        It is what ``webhooks_blueprint`` does with an event. Each has an app context of its own.
        All are called; then the error of the first that raised is raised, and those of others are
        logged.
        """
        line = self._line()
        first: Exception | None = None
        for registration, _ in list(self._registrations):
            if line.takes(registration) and registration.wants(event):
                try:
                    with line.app.app_context():
                        registration.fn(event)
                except Exception as error:
                    if first is None:
                        first = error
                    else:
                        log.exception("a callback for %s failed", event.name)
        if first is not None:
            raise first

    def lookup(self, fn: F) -> F:
        """Have *fn* answer lookups: it is given a ``Lookup``, and returns a ``Channel`` or None.

        A decorator; the last one counts. It is called in the request that
        ``webhooks_blueprint`` takes. None: the caller is rejected.
        """
        if not callable(fn):
            raise InvalidArgumentError(f"fn must be a function, not {fn!r}")
        self._finder = fn
        return fn

    def _find(self, lookup: Lookup) -> Channel | None:
        return None if self._finder is None else self._finder(lookup)


# --- flask telephony ------------------------------------------------------------------------------


def _commands(line: _Line) -> AppGroup:
    group = AppGroup("telephony", help="Phone calls.")

    @group.command("listen", with_appcontext=False)
    def listen() -> None:
        """Answer the calls that come in, until told to end (SIGTERM, Ctrl-C).

        Calls the callbacks registered for CallIncoming. Keep one such process up beside the web
        server.
        """
        kinds = [registration.event_type for registration, _ in line.telephony._registrations]
        if not any(issubclass(CallIncoming, kind) for kind in kinds):
            raise click.ClickException(
                "no callback is registered for CallIncoming: there is nobody to answer a call"
            )
        try:
            line.listen()
            client = line.connected()
            click.echo(f"listening as {client.options.client_id}")
            client.run_forever(hangup_active=line.hangup_at_exit)
        except TelephonyError as error:
            raise click.ClickException(str(error)) from error

    return group


# --- webhooks ------------------------------------------------------------------------------


def webhooks_blueprint(
    telephony: Telephony | None = None,
    *,
    on_event: Callable[[Event], Any] | None = None,
    lookup: Callable[[Lookup], Channel | None] | None = None,
    secret: str | None = None,
    max_body: int = MAX_BODY,
    seen: Any = None,
    delivery_header: str = DELIVERY_HEADER,
    name: str = "telephony_webhooks",
    url_prefix: str = "/telephony",
) -> Blueprint:
    """A blueprint for what the gateway sends: ``POST …/events`` and ``POST …/lookup``.

    Events go to *on_event*, or else to the callbacks registered with *telephony*, see
    ``Telephony.handle``; lookups to *lookup*, or else to the function given to
    ``telephony.lookup``. They are called in the request. The ``Authorization`` header has to be
    *secret*, or else what ``TELEPHONY_WEBHOOK_SECRET`` is in the app's configuration at the first
    request; with neither all requests are refused with 403. *max_body* is the largest body in
    bytes; no more of it is read. *seen* is where deliveries are remembered (by default in this
    process), *delivery_header* the name of the header with a delivery's id; see ``Webhooks`` for
    these and for the statuses. *name* and *url_prefix* are the blueprint's.

    The commands of an event's call go through *telephony*'s client. The gateway knows no CSRF
    token: exempt the blueprint where your app checks them. Raises ``InvalidArgumentError`` naming
    the argument that is wrong.
    """
    if telephony is not None and not isinstance(telephony, Telephony):
        raise InvalidArgumentError(
            f"telephony must be a Telephony or None, not {type(telephony).__name__}"
        )
    handle = on_event if telephony is None or on_event is not None else telephony.handle
    if handle is None:
        raise InvalidArgumentError("on_event is needed where there is no telephony")
    find = lookup if telephony is None or lookup is not None else telephony._find
    # What is wrong is said here and not in the first request; the secret is known only then.
    Webhooks(secret, on_event=handle, lookup=find, max_body=max_body, seen=seen)
    blueprint = Blueprint(name, __name__, url_prefix=url_prefix)
    key = f"telephony.{name}"

    def webhooks() -> Webhooks:
        if key not in current_app.extensions:
            made = Webhooks(
                current_app.config.get(_SECRET) if secret is None else secret,
                on_event=handle,
                lookup=find,
                max_body=max_body,
                seen=seen,
                client=None if telephony is None else _Lazy(telephony._line()),
                setting=_SECRET if secret is None else "secret",
            )
            current_app.extensions.setdefault(key, made)  # of two threads one makes it
        found: Webhooks = current_app.extensions[key]
        return found

    @blueprint.post("/events")
    def events() -> Response:
        answering, given = webhooks(), request.headers.get("Authorization")
        reply = answering.refusal(given, request.content_length)
        if reply is None:
            delivery = request.headers.get(delivery_header)
            reply = answering.event(given, _body(max_body), delivery_id=delivery)
        return _response(reply)

    @blueprint.post("/lookup", endpoint="lookup")
    def look_up() -> Response:
        answering, given = webhooks(), request.headers.get("Authorization")
        reply = answering.refusal(given, request.content_length)
        if reply is None:
            reply = answering.lookup(given, _body(max_body))
        return _response(reply)

    return blueprint


def _body(most: int) -> bytes:
    """The request's body, but no more than one byte past *most*: a chunked one tells no length."""
    parts: list[bytes] = []
    left = most + 1
    while left > 0 and (part := request.stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _response(reply: Reply) -> Response:
    response = jsonify(reply.body)
    response.status_code = reply.status
    response.headers["Cache-Control"] = "no-store"  # it may hold a token
    return response
