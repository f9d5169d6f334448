"""Events and lookups that the gateway sends over HTTP; for any web framework, and for none.

The gateway can POST a call's events to a URL, as the same JSON that a client receives over its
WebSocket, and ask another one which channel a caller belongs to. ``parse_event`` reads the
first, ``Webhooks`` answers both; ``telephony.contrib.flask`` and ``telephony.contrib.django`` put
it behind URLs. It needs no package of its own::

    from telephony.contrib.webhooks import Channel, Webhooks

    webhooks = Webhooks("Bearer …", on_event=print, lookup=lambda lookup: Channel(...))
    reply = webhooks.event(headers.get("Authorization"), body)   # reply.status, reply.body
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import math
import time
from collections import OrderedDict
from typing import Any, Callable, Mapping, NoReturn

import attrs

from telephony.call import Call
from telephony.errors import InvalidArgumentError, NotConnectedError, ProtocolError, TelephonyError
from telephony.protocol import events
from telephony.protocol.calls import MULTI, CallInfo, TrackedCall, advance, evolved, unheard_of
from telephony.protocol.commands import (
    AsText,
    checked_field,
    checked_option,
    checked_sdk_options,
    checked_seconds,
    checked_text,
    checked_word,
)
from telephony.protocol.events import CALL_EVENTS, DtmfReceived, Event, UnknownEvent, event_name
from telephony.protocol.states import HANGUP
from telephony.protocol.wire import Frame, decode, is_id, number_of, text_of, words_of
from telephony.runtime.lock import ProcessLock

log = logging.getLogger("telephony")

#: The header with a delivery's own id, where something in between adds one.
DELIVERY_HEADER = "X-Delivery-Id"
#: A body that is larger is not read; an event has a few hundred bytes.
MAX_BODY = 1 << 16
#: What is told apart by its delivery is remembered so many seconds.
REMEMBERED_SECONDS = 3600.0
#: While a handler is at work, so long at most, the same delivery is put off.
HANDLING_SECONDS = 60.0


# --- events ------------------------------------------------------------------------------


class _Afar:
    """Stands in for the client of a call that no client tracks: what is known goes along by name.

    Nothing is ever heard of such a call, so there is nothing to wait for.
    """

    closed = False

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def _commands(self) -> Any:
        if self._client is None:
            raise NotConnectedError(
                "the call is known from a webhook only, and parse_event was given no client to "
                "send commands with"
            )
        return self._client

    @property
    def options(self) -> Any:
        return self._commands.options

    def wait_connected(self, timeout: float | None) -> bool:
        return bool(self._client is not None and self._client.wait_connected(timeout))

    def _check_process(self) -> NoReturn:
        raise NotConnectedError(
            "the call is known from a webhook only: nothing more is heard of it here"
        )

    def accept(self, call: Call, *, app_id: str | None = None, **fields: Any) -> None:
        app_id = app_id or call.app_id or None
        self._commands.accept(call.call_id, app_id=app_id, **fields)

    def bridge(self, call: Call, *, app_id: str | None = None, **fields: Any) -> None:
        app_id = app_id or call.app_id or None
        self._commands.bridge(call.call_id, app_id=app_id, **fields)

    def rebridge(self, call: Call, *, app_id: str | None = None, **fields: Any) -> None:
        self._commands.rebridge(
            call.call_id,
            app_id=app_id or call.app_id or None,
            current_channel=call.channel or None,
            current_uid=call.uid or None,
            **fields,
        )

    def hangup(self, call: Call, **fields: Any) -> None:
        direction = call.direction
        if direction not in ("inbound", "outbound", "outbound_sip"):
            direction = ""
        self._commands.hangup(
            call.call_id, direction=direction or None, app_id=call.app_id or None, **fields
        )

    def reject(self, call: Call, *arguments: Any, **fields: Any) -> None:
        self._send("reject", call, *arguments, **fields)

    def send_dtmf(self, call: Call, *arguments: Any, **fields: Any) -> None:
        self._send("send_dtmf", call, *arguments, **fields)

    def unbridge(self, call: Call, **fields: Any) -> None:
        self._send("unbridge", call, **fields)

    def transfer(self, call: Call, *arguments: Any, **fields: Any) -> None:
        self._send("transfer", call, *arguments, **fields)

    def _send(self, name: str, call: Call, *arguments: Any, **fields: Any) -> None:
        command = getattr(self._commands, name)
        command(call.call_id, *arguments, app_id=call.app_id or None, **fields)


def parse_event(body: bytes | str | Mapping[str, Any], client: Any = None) -> Event:
    """The event in *body*, which is JSON, or the object already read from it.

    It is of the classes that a client's callbacks are given. ``info`` is what this event alone
    tells of the call: its state after the event, and what else the event names (so the
    ``direction`` of a ``call_hangup``, but no ``answered_at``). ``DtmfReceived.echo`` is always
    false: an echo of digits that were sent cannot be told from a key. ``call`` is *client*'s own
    ``Call`` where it tracks one with this id, else one apart: it has that snapshot for good, its
    own callbacks are told nothing, waits for it raise ``NotConnectedError``, and so do its
    commands, unless a *client* (or any object with its commands) is given to send them. An event
    of a name not known is an ``UnknownEvent``, whose ``call`` and ``info`` are None where it
    names no call.

    Nothing is sent, and *client* is not told: its own events come over its connection. Raises
    ``ProtocolError`` for what is no JSON object, or has no event's name.
    """
    frame = _frame_of(body)
    name = event_name(frame, "the body is")
    call_id, channel, uid = _ids_of(frame)
    if name not in CALL_EVENTS and not call_id:
        return UnknownEvent(name=name, timestamp=number_of(frame.get("timestamp")), raw=frame)
    info = _told_alone(frame, name, call_id, channel, uid)
    call = _tracked(client, call_id)
    if call is None:
        call = Call(_Afar(client), info)  # type: ignore[arg-type]
    if name == "dtmf_received":
        return events.dtmf_received(frame, call, info, text_of(frame.get("digits")), False)
    return events.call_event(name, frame, call, info)


def _frame_of(body: bytes | str | Mapping[str, Any]) -> Frame:
    if isinstance(body, Mapping):
        return dict(body)
    if isinstance(body, (bytes, bytearray, memoryview)):
        try:
            body = bytes(body).decode()
        except UnicodeDecodeError:
            raise ProtocolError(f"the body's {len(body)} bytes are not UTF-8 text") from None
    return decode(body, "the body is")


def _ids_of(frame: Mapping[str, Any]) -> tuple[str, str, str]:
    """The call's own id, and the channel and uid that stand in the id's place on an A-leg's end."""
    call_id = text_of(frame.get("callid"))
    if call_id.count(":") >= 2:
        app_id, _, rest = call_id.partition(":")
        channel, _, uid = rest.rpartition(":")
        said = [text_of(frame.get(key)) for key in ("appid", "channel", "uid")]
        if all(word in ("", part) for word, part in zip(said, (app_id, channel, uid))):
            return "", channel, uid
    return call_id, "", ""


def _names_a_call(frame: Mapping[str, Any]) -> bool:
    """By its id, or by where its audio is: a dial's first events have no id yet."""
    call_id, channel, uid = _ids_of(frame)
    channel, uid = channel or text_of(frame.get("channel")), uid or text_of(frame.get("uid"))
    return bool(call_id or (channel and uid))


def _told_alone(frame: Frame, name: str, call_id: str, channel: str, uid: str) -> CallInfo:
    """The snapshot of a call of which this is all that was ever heard."""
    call = TrackedCall(evolved(unheard_of(frame, name, channel, uid), {"call_id": call_id}))
    info = evolved(call.info, advance(call, frame, name) or {})
    return evolved(info, {"active": False}) if info.state is HANGUP else info


def _tracked(client: Any, call_id: str) -> Call | None:
    if client is None or not call_id:
        return None
    try:
        call: Call | None = client.call(call_id)
        return call
    except TelephonyError:  # a forked child's, which tracks nothing yet
        return None


# --- lookups -----------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Lookup:
    """The gateway asks where a call belongs. Text that it did not send is ``""``.

    ``did`` is the number that was called, ``caller_id`` the one that calls, ``pin`` what the
    caller typed (it is not in the repr), ``call_id`` the call's id.
    """

    did: str = ""
    pin: str = attrs.field(default="", repr=False)
    caller_id: str = ""
    call_id: str = ""


def _one_app_id(name: str, value: object) -> str:
    app_id = checked_text(name, value)
    if app_id == MULTI:
        raise InvalidArgumentError(f"{name} must be one App ID here, not {MULTI}")
    return app_id


@attrs.frozen(kw_only=True)
class Channel:
    """Where a caller goes: what a lookup is answered with.

    ``token`` is the RTC token for ``channel`` and ``uid`` (it is not in the repr). ``app_id`` is
    theirs, ``webhook_url`` where the call's events are to be POSTed, ``sdk_options`` JSON or a
    dict, ``audio_scenario`` ``"0"`` people, ``"10"`` AI agents; those that are None are left out.
    Raises ``InvalidArgumentError`` naming what is wrong, as ``Client.accept`` does.
    """

    token: str = checked_field(checked_text, secret=True)
    uid: AsText = checked_field(checked_word)
    channel: str = checked_field(checked_text)
    app_id: str | None = checked_option(_one_app_id, "appid")
    webhook_url: str | None = checked_option(checked_text)
    sdk_options: AsText = checked_option(checked_sdk_options)
    audio_scenario: AsText = checked_option(checked_word)

    def to_wire(self) -> dict[str, str]:
        """The reply's fields, under the names that the gateway reads."""
        values = {
            field.metadata.get("wire", field.name): getattr(self, field.name)
            for field in attrs.fields(type(self))
        }
        return {name: value for name, value in values.items() if value is not None}


def parse_lookup(body: bytes | str | Mapping[str, Any]) -> Lookup:
    """The question in *body*, which is JSON, or the object already read from it.

    Raises ``ProtocolError`` for what is no JSON object, or asks for something else.
    """
    frame = _frame_of(body)
    if text_of(frame.get("action")) not in ("", "lookup"):
        raise ProtocolError("the body is no lookup: its action is another one")
    words = {name: words_of(frame.get(name)) for name in ("did", "pin", "callerid", "callid")}
    for name, word in words.items():
        if word and not is_id(word):
            raise ProtocolError(f"the body is a lookup with no sound {name}")
    if not words["did"] and not words["callid"]:
        raise ProtocolError("the body is no lookup: it has neither did nor callid")
    return Lookup(
        did=words["did"], pin=words["pin"], caller_id=words["callerid"], call_id=words["callid"]
    )


# --- deliveries that were seen ----------------------------------------------------------------


class SeenEvents:
    """The last *most* deliveries, in the memory of this process. Thread-safe."""

    def __init__(self, most: int = 10_000) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise InvalidArgumentError(f"most must be a whole number, 1 or more, not {most!r}")
        self._most = most
        self._lock = ProcessLock()  # guards the dict
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, key: str, value: Any = 1, timeout: float | None = None) -> bool:
        """Keep *key* for *timeout* seconds (None: until there are too many), unless it is there.

        Returns whether it was not. *value* is not kept.
        """
        now = time.monotonic()
        with self._lock:
            until = self._until.get(key)
            if until is not None and until > now:
                return False
            self._until[key] = float("inf") if timeout is None else now + timeout
            self._until.move_to_end(key)
            while len(self._until) > self._most:
                self._until.popitem(last=False)
            return True

    def delete(self, key: str) -> None:
        """Forget *key*; one that is not there is no error."""
        with self._lock:
            self._until.pop(key, None)

    def __len__(self) -> int:
        return len(self._until)


def fingerprint(event: Event, delivery_id: str | None = None) -> str | None:
    """What a delivery of *event* is told from others by; None: by nothing, it is always taken.

    That is its *delivery_id* where it has one. Else a repeated delivery is one whose whole
    content is equal; but not of digits (two equal ones are two key presses), of events this
    version does not know, and of what names no call or no time.
    """
    if delivery_id:
        told_by = f"id {delivery_id}"
    else:
        raw = event.raw
        if isinstance(event, (DtmfReceived, UnknownEvent)) or event.timestamp is None:
            return None
        if not text_of(raw.get("callid")) and not (
            text_of(raw.get("channel")) and text_of(raw.get("uid"))
        ):
            return None
        told_by = "event " + json.dumps(raw, sort_keys=True, default=str)
    return hashlib.sha256(told_by.encode("utf-8", "backslashreplace")).hexdigest()


# --- requests and replies -----------------------------------------------------------------------


@attrs.frozen
class Reply:
    """What to answer a request with: an HTTP status, and an object to write as JSON, or None.

    ``body`` may hold an RTC token: it is not in the repr, and not for logs.
    """

    status: int
    body: dict[str, Any] | None = attrs.field(default=None, repr=False)


def _refusal(status: int, error: str) -> Reply:
    return Reply(status, {"error": error})


_TAKEN = {"success": True}
_FAILED = "the application could not handle it: see its log"


class Webhooks:
    """Answers the gateway's requests; thread-safe, and no more than functions of what came.

    *secret* is what the ``Authorization`` header has to be, the whole of it (``"Bearer …"``); while
    it is None or empty every request is refused with 403, and an error is logged that names
    *setting*, where your users would set it. *on_event* is called with each event, *lookup* with
    each ``Lookup``; it returns a ``Channel``, or None to have the caller rejected (404). *max_body*
    is the largest body in bytes. *client* sends the commands of the events' calls, see
    ``parse_event``.

    An event is delivered at least once: the gateway may repeat it. What was handled already is
    answered 200 and not handled again, for *remember* seconds; ``fingerprint`` is how it is told.
    *seen* is where that is kept: a ``SeenEvents`` of this process (the default), or an object with
    the ``add`` and ``delete`` of Django's caches, for several processes to share. A delivery that
    comes while the same one is being handled gets 503, so that it is repeated: until *on_event* has
    returned nobody knows whether it will have to be. *on_event* should be done within *handling*
    seconds; past that it may be called for the same event again.

    Raises ``InvalidArgumentError`` naming the argument that is wrong.
    """

    def __init__(
        self,
        secret: str | None,
        *,
        on_event: Callable[[Event], Any],
        lookup: Callable[[Lookup], Channel | None] | None = None,
        max_body: int = MAX_BODY,
        seen: Any = None,
        remember: float = REMEMBERED_SECONDS,
        handling: float = HANDLING_SECONDS,
        client: Any = None,
        setting: str = "secret",
    ) -> None:
        if not callable(on_event):
            raise InvalidArgumentError(f"on_event must be a function, not {on_event!r}")
        if lookup is not None and not callable(lookup):
            raise InvalidArgumentError(f"lookup must be a function or None, not {lookup!r}")
        if isinstance(max_body, bool) or not isinstance(max_body, int) or max_body < 1:
            raise InvalidArgumentError(
                f"max_body must be a whole number of bytes, 1 or more, not {max_body!r}"
            )
        if seen is not None and not (hasattr(seen, "add") and hasattr(seen, "delete")):
            raise InvalidArgumentError("seen must have the methods add and delete")
        self.max_body = max_body
        self._setting = setting
        self._secret = _checked_secret(setting, secret)
        self._on_event = on_event
        self._lookup = lookup
        self._seen: Any = SeenEvents() if seen is None else seen
        # Whole seconds: not every cache takes parts of them.
        self._remember = math.ceil(checked_seconds("remember", remember))
        self._handling = math.ceil(checked_seconds("handling", handling))
        self._client = client
        self._told = False  # that there is no secret

    def __repr__(self) -> str:
        return f"<Webhooks: {'a' if self._secret else 'no'} secret>"

    def refusal(self, authorization: str | None, length: int | None = None) -> Reply | None:
        """What to answer before the body is read: 403, 401 or 413; None: read it.

        *authorization* is the request's header, *length* its ``Content-Length`` in bytes. Without
        one (a chunked body) stop reading after ``max_body`` bytes and one more.
        """
        if not self._secret:
            if not self._told:
                self._told = True
                log.error("webhooks are refused: %s is not set", self._setting)
            return _refusal(403, "webhooks are not set up here")
        given = (authorization or "").encode("utf-8", "backslashreplace")
        if not hmac.compare_digest(given, self._secret):
            return _refusal(401, "unauthorized")
        if length is not None and length > self.max_body:
            return _refusal(413, f"the body is larger than {self.max_body} bytes")
        return None

    def event(
        self, authorization: str | None, body: bytes, *, delivery_id: str | None = None
    ) -> Reply:
        """Answer a delivery of one event; blocks for as long as ``on_event`` does.

        *authorization* is the request's header, *delivery_id* an id that a repeated delivery has in
        common with the first, where there is one (``DELIVERY_HEADER``). The status is 200 (handled
        now or before), 400 (unreadable, or an event that names no call), 401, 403, 413, 500
        (``on_event`` raised: that is logged, and the gateway may send it again) or 503 (it is being
        handled just now, or ``seen`` cannot be asked).
        """
        refused = self.refusal(authorization, len(body))
        if refused is not None:
            return refused
        try:
            event = parse_event(body, self._client)
            if event.name in CALL_EVENTS and not _names_a_call(event.raw):
                return _refusal(400, "the body names no call")
            mark = fingerprint(event, delivery_id)
        except ProtocolError as error:
            return _refusal(400, str(error))
        except RecursionError:
            return _refusal(400, "the body is nested too deeply")
        if mark is None:
            return Reply(200, dict(_TAKEN)) if self._handle(event) else _refusal(500, _FAILED)
        return self._once(event, f"telephony.event.{mark}")

    def _once(self, event: Event, key: str) -> Reply:
        """Handle *event*, unless the delivery *key* was handled or is being handled.

        Two marks: one while it is being handled, and one that says that it was. The second is
        looked up by adding it (a cache can do no more atomically), for no longer than the first:
        a process that is killed here leaves nothing behind that would have the event dropped.
        """
        busy, done = f"{key}.busy", f"{key}.done"
        try:
            if not self._seen.add(busy, 1, self._handling):
                return _refusal(503, "the same event is being handled: send it again")
            if not self._seen.add(done, 1, self._handling):
                self._seen.delete(busy)
                return Reply(200, {**_TAKEN, "duplicate": True})
        except Exception:
            log.exception("what was seen of webhooks cannot be asked")
            return _refusal(503, "it cannot be told whether this was handled: send it again")
        handled = False
        try:
            handled = self._handle(event)
        finally:  # also of what no handler may catch
            try:
                self._seen.delete(done)
                if handled:
                    self._seen.add(done, 1, self._remember)
                self._seen.delete(busy)
            except Exception:
                log.exception("what was seen of webhooks cannot be noted")
        return Reply(200, dict(_TAKEN)) if handled else _refusal(500, _FAILED)

    def _handle(self, event: Event) -> bool:
        try:
            self._on_event(event)
        except Exception:
            log.exception("the handler of a webhook's %s failed", event.name)
            return False
        return True

    def lookup(self, authorization: str | None, body: bytes) -> Reply:
        """Answer a lookup; blocks for as long as the handler does (the gateway waits about 15 s).

        The status is 200 with the channel's fields, 404 (the handler returned None, or there is
        none: the caller is rejected), 400, 401, 403, 413, or 500 (the handler raised, or returned
        something else: that is logged).
        """
        refused = self.refusal(authorization, len(body))
        if refused is not None:
            return refused
        try:
            lookup = parse_lookup(body)
        except ProtocolError as error:
            return _refusal(400, str(error))
        try:
            channel = None if self._lookup is None else self._lookup(lookup)
        except Exception:
            log.exception("the lookup of call %s failed", lookup.call_id)
            return _refusal(500, _FAILED)
        if channel is None:
            return _refusal(404, "not found")
        if not isinstance(channel, Channel):
            kind = type(channel).__name__  # and not the value, which may hold a token
            log.error("the handler of lookups must return a Channel or None, not a %s", kind)
            return _refusal(500, _FAILED)
        return Reply(200, channel.to_wire())


def _checked_secret(setting: str, secret: object) -> bytes:
    """The secret as bytes, ``b""`` for none; what no header could be is refused."""
    if secret is None or secret == "":
        return b""
    if not isinstance(secret, str):
        raise InvalidArgumentError(f"{setting} must be a string, not {type(secret).__name__}")
    if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
        raise InvalidArgumentError(
            f"{setting} must be one line of ASCII without blanks around it: it is compared with "
            "the Authorization header"
        )
    return secret.encode()
