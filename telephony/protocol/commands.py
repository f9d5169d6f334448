"""What the client can ask the Call Manager for: frozen values that know their wire form.

Making one checks it: a wrong argument raises ``InvalidArgumentError`` naming it, before
anything is sent. What is None is left out on the wire, ``video`` is sent only when true.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, ClassVar, Iterable, Mapping, cast

import attrs

from telephony.errors import InvalidArgumentError
from telephony.protocol.wire import CONTROL

_DIGITS = re.compile(r"[0-9*#]+")

#: The longest time that can be asked for: threads cannot wait much longer.
MOST_SECONDS = 1e9

# --- checks, shared with the client's other arguments ------------------------------------


def checked_text(name: str, value: object) -> str:
    """*value* if it is text with something in it and no control characters."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a string, not {type(value).__name__}")
    if not value or value.isspace():
        raise InvalidArgumentError(f"{name} must not be empty")
    if not value.isprintable() and CONTROL.search(value):
        raise InvalidArgumentError(f"{name} must not hold control characters or line breaks")
    return value


def checked_seconds(name: str, value: object, *, zero: bool = False) -> float:
    """*value* if it is a finite number of seconds above zero (or zero too, if *zero*)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidArgumentError(f"{name} must be a number of seconds, not {value!r}")
    if not (value >= 0 if zero else value > 0):  # false for NaN too
        least = "0 or more" if zero else "more than 0"
        raise InvalidArgumentError(f"{name} must be {least} seconds, not {value!r}")
    if value > MOST_SECONDS:
        raise InvalidArgumentError(f"{name} must be at most {MOST_SECONDS:g} seconds")
    return value


def checked_wait(name: str, value: object) -> float | None:
    """*value* if it is None (for ever) or a number of seconds, 0 or more."""
    return None if value is None else checked_seconds(name, value, zero=True)


def checked_numbers(name: str, value: object) -> tuple[str, ...]:
    """*value* as a tuple of phone numbers; one string is not taken for many."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise InvalidArgumentError(f"{name} must be a list of phone numbers, not {value!r}")
    numbers = cast(Iterable[object], value)
    return tuple(checked_text(f"{name}[{i}]", number) for i, number in enumerate(numbers))


_Check = Callable[[str, Any], Any]


def _optional(check: _Check) -> _Check:
    return lambda name, value: None if value is None else check(name, value)


def checked_word(name: str, value: object) -> str:
    """Text, or a whole number written as text (uid, audio scenario)."""
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 1 << 64:
            raise InvalidArgumentError(f"{name} must be a number of at most 64 bits")
        value = str(value)
    return checked_text(name, value)


def _ring_seconds(name: str, value: object) -> str:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise InvalidArgumentError(f"{name} must be seconds, not {value!r}") from None
    seconds = checked_seconds(name, value, zero=True)
    return str(int(seconds)) if float(seconds).is_integer() else str(seconds)


def _digits(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a string, not {type(value).__name__}")
    if not _DIGITS.fullmatch(value):
        raise InvalidArgumentError(f"{name} must be one or more of 0-9 * #, not {value!r}")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{name} must be True or False, not {value!r}")
    return value


def checked_sdk_options(name: str, value: object) -> str:
    """A JSON string; a dict is written as one."""
    if isinstance(value, Mapping):
        try:
            return json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(f"{name} cannot be written as JSON: {error}") from None
    return checked_text(name, value)


def _leg(name: str, value: object) -> str:
    """``A`` or ``B``; the HTTP API's words for them are taken too."""
    leg = {"A": "A", "B": "B", "aleg": "A", "bleg": "B"}.get(str(value))
    if leg is None:
        raise InvalidArgumentError(f"{name} must be 'A' or 'B', not {value!r}")
    return leg


def _reason(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a string, not {type(value).__name__}")
    return value


def checked_field(
    check: _Check, wire: str | None = None, *, default: Any = attrs.NOTHING, secret: bool = False
) -> Any:
    """A field that is checked as it is set; *wire* is its name there, if another one."""

    def convert(value: Any, _: Any, field: attrs.Attribute[Any]) -> Any:
        return check(field.name, value)

    return attrs.field(
        default=default,
        converter=attrs.Converter(convert, takes_self=True, takes_field=True),
        repr=not secret,
        metadata={"wire": wire} if wire else {},
    )


def checked_option(check: _Check, wire: str | None = None, *, secret: bool = False) -> Any:
    return checked_field(_optional(check), wire, default=None, secret=secret)


#: What is given as text or as a number (``sdk_options``: a dict), and is text once checked.
AsText = Any


# --- the commands ------------------------------------------------------------------------


_names: dict[type[Command], tuple[tuple[str, str], ...]] = {}


def _wire_names(kind: type[Command]) -> tuple[tuple[str, str], ...]:
    """The fields of a command, each with its name on the wire."""
    if kind not in _names:
        fields = attrs.fields(kind)
        _names[kind] = tuple((f.name, f.metadata.get("wire", f.name)) for f in fields)
    return _names[kind]


@attrs.frozen(kw_only=True)
class Command:
    """One command; subclasses are its kinds."""

    action: ClassVar[str]

    def to_wire(self) -> dict[str, Any]:
        """The frame's fields, without ``request_id``."""
        frame: dict[str, Any] = {"action": self.action}
        for attribute, name in _wire_names(type(self)):
            value = getattr(self, attribute)
            if value is not None and value is not False:
                frame[name] = value
        return frame


@attrs.frozen(kw_only=True)
class Dial(Command):
    action: ClassVar[str] = "outbound"

    to: str = checked_field(checked_text, secret=True)  # may be a SIP URI
    from_: str = checked_field(checked_text, "from")
    channel: str = checked_field(checked_text)
    uid: AsText = checked_field(checked_word)
    token: str = checked_field(checked_text, secret=True)
    region: str = checked_field(checked_text)
    timeout: AsText = checked_option(_ring_seconds)
    sip: str | None = checked_option(checked_text, secret=True)
    sip_domain: str | None = checked_option(checked_text)
    app_id: str | None = checked_option(checked_text, "appid")
    video: bool = checked_field(_flag, default=False)
    sdk_options: AsText = checked_option(checked_sdk_options)
    audio_scenario: AsText = checked_option(checked_word)
    prompt: str | None = checked_option(checked_text)
    webhook_url: str | None = checked_option(checked_text)


@attrs.frozen(kw_only=True)
class CallCommand(Command):
    """A command about one call."""

    call_id: str = checked_field(checked_text, "callid")
    app_id: str | None = checked_option(checked_text, "appid")


@attrs.frozen(kw_only=True)
class JoinCommand(CallCommand):
    """A command that puts the call's audio into a channel."""

    token: str = checked_field(checked_text, secret=True)
    channel: str = checked_field(checked_text)
    uid: AsText = checked_field(checked_word)
    sdk_options: AsText = checked_option(checked_sdk_options)
    audio_scenario: AsText = checked_option(checked_word)


@attrs.frozen(kw_only=True)
class Accept(JoinCommand):
    action: ClassVar[str] = "accept"

    webhook_url: str | None = checked_option(checked_text)
    video: bool = checked_field(_flag, default=False)


@attrs.frozen(kw_only=True)
class Bridge(JoinCommand):
    action: ClassVar[str] = "bridge"

    video: bool = checked_field(_flag, default=False)


@attrs.frozen(kw_only=True)
class Rebridge(JoinCommand):
    action: ClassVar[str] = "rebridge"

    current_channel: str = checked_field(checked_text)
    current_uid: AsText = checked_field(checked_word)


@attrs.frozen(kw_only=True)
class Unbridge(CallCommand):
    action: ClassVar[str] = "unbridge"


@attrs.frozen(kw_only=True)
class Reject(CallCommand):
    action: ClassVar[str] = "reject"

    reason: str = checked_field(_reason, default="")


@attrs.frozen(kw_only=True)
class EndCall(CallCommand):
    """Hangs up a call that was dialled."""

    action: ClassVar[str] = "endcall"


@attrs.frozen(kw_only=True)
class HangUp(CallCommand):
    """Hangs up a call that came in."""

    action: ClassVar[str] = "hangup"


@attrs.frozen(kw_only=True)
class SendDtmf(CallCommand):
    action: ClassVar[str] = "send_dtmf"

    digits: str = checked_field(_digits)


@attrs.frozen(kw_only=True)
class Transfer(CallCommand):
    action: ClassVar[str] = "transfer"

    destination: str = checked_field(checked_text)
    leg: str | None = checked_option(_leg)


@attrs.frozen(kw_only=True)
class Subscribe(Command):
    action: ClassVar[str] = "subscribe"

    numbers: Any = checked_field(checked_numbers)

    def to_wire(self) -> dict[str, Any]:
        return {"action": self.action, "numbers": list(self.numbers)}


@attrs.frozen(kw_only=True)
class OtherCommand(Command):
    """A command this version has no name for; its fields go to the wire as they are."""

    action: str = checked_field(checked_text)  # type: ignore[misc]
    fields: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    def __attrs_post_init__(self) -> None:
        for name, value in self.fields.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidArgumentError(f"{name} cannot be written as JSON: {error}") from None

    def to_wire(self) -> dict[str, Any]:
        given = {name: value for name, value in self.fields.items() if value is not None}
        return {"action": self.action, **given}


def hang_up(call_id: str, direction: str, app_id: str | None) -> EndCall | HangUp:
    """The command that ends a call: ``endcall`` for those we dialled, else ``hangup``."""
    kind = EndCall if direction.startswith("outbound") else HangUp
    return kind(call_id=call_id, app_id=app_id)
