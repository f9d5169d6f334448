"""JSON text to dict and back, and what of it may be shown.

Values on the wire are strings, but the Call Manager has been seen to send numbers for them;
the ``*_of`` readers take either and never raise.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import importlib
import json
import re
from collections import OrderedDict
from typing import Any, Callable, Mapping, NoReturn, Sequence

from telephony.errors import ProtocolError

Frame = dict[str, Any]

#: What no text of ours may hold: it could end a line where one is made of it, or (half a
#: surrogate pair) could not be written at all.
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
#: An id on the wire (of a call, a channel, an event …) has at most so many characters …
ID_MOST = 1024
#: … and the SIP headers of a call have, together.
HEADERS_MOST = 1 << 15

#: A number is smaller than this, whatever its sign.
_NUMBER_MOST = 10**18

MASK = "***"
#: A frame is logged up to so many characters.
LOGGED_MOST = 4000
#: … and one that is longer than this not at all: to look for secrets in it takes too long.
READ_MOST = 1 << 16
#: Of a frame that is shown or kept in an error, so many values at most are kept.
SHOWN_MOST = 1000
_SECRET_KEY = re.compile(
    r"token|password|passwd|secret|authorization|credential|api.?key|^sip$", re.IGNORECASE
)
_SIP_PARTS = re.compile(r"(?:username|password|user|pass)=([^;&?,@\s]+)", re.IGNORECASE)
_USER_AND_PASSWORD = re.compile(r"^((?:sips?:)?)(?!sips?:)[^@\s:]*:[^@\s]*@")
_SIP_PASSWORD = re.compile(r"\b(sips?:)[^@\s:;]*:[^@\s]*@", re.IGNORECASE)
_URL_USER = re.compile(r"\b(https?://|wss?://)[^/?#@\s]*@", re.IGNORECASE)
_URL_QUERY = re.compile(r"\b((?:https?|wss?)://[^\s?#\"]*)\?[^\s\"]*", re.IGNORECASE)
_SIP_USERINFO = re.compile(r"^(?:sips?:)?([^@;\s]+)@")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)


def _encode_by(encoder: json.JSONEncoder) -> Callable[[Any], str]:
    """The encoder's own part in C, kept: its ``encode`` spends half its time on making one."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    text = json.encoder.encode_basestring_ascii
    # In this order: no look-out for circles (a frame has none), indent, separators, flags.
    parts = make(None, encoder.default, text, None, ":", ",", False, False, True)
    return lambda value: "".join(parts(value, 0))


_encode = _encode_by(json.JSONEncoder(separators=(",", ":")))

#: The value that begins at an index of a text, and where it ends. The decoder's own, in C, takes
#: two thirds of the time of its ``decode``, which looks for blanks around the value.
_standard_scan: Callable[[str, int], tuple[Any, int]] = getattr(_decoder, "scan_once")


def _scan_by(loads: Callable[[str], Any]) -> Callable[[str, int], tuple[Any, int]]:
    """The same with another decoder, for whole texts.

    What it does not take is left to the standard library (half a surrogate pair, for one), and so
    are long texts: orjson wants fourteen times their size while it reads. Bytes are no text here.
    """

    def scan(text: str, at: int) -> tuple[Any, int]:
        if len(text) > READ_MOST or isinstance(text, bytes):
            return None, -1
        try:
            return loads(text), len(text)
        except ValueError:
            return None, -1

    return scan


_scan = _standard_scan
with contextlib.suppress(ImportError):  # the extra "speed"
    _scan = _scan_by(importlib.import_module("orjson").loads)


def encode(frame: Mapping[str, Any]) -> str:
    """The text of *frame*: one JSON object, plain ASCII."""
    return _encode(frame)


def decode(message: str | bytes, what: str = "the CM sent") -> Frame:
    """The object in *message*; raises ``ProtocolError`` for anything else.

    ``bytes`` are a message that was binary or not UTF-8. *what* begins the error's text.
    """
    try:
        frame, end = _scan(message, 0)  # type: ignore[arg-type]
        if end == len(message) and type(frame) is dict:
            return frame
    except (StopIteration, ValueError, TypeError, RecursionError):
        pass
    # There are blanks around it, or worse.
    if isinstance(message, bytes):
        raise ProtocolError(f"{what} {len(message)} bytes that are not UTF-8 text")
    try:
        frame = _decoder.decode(message)
    except (ValueError, RecursionError) as error:
        # Of the error's words only what kind it is: they can quote what was sent.
        kind = getattr(error, "msg", None) or type(error).__name__
        raise ProtocolError(
            f"{what} {len(message)} characters that are not JSON ({kind})"
        ) from None
    if not isinstance(frame, dict):
        raise ProtocolError(f"{what} a JSON {type(frame).__name__} instead of an object")
    return frame


def text_of(value: object) -> str:
    """A wire value as text; ``""`` for what is absent or has no text (objects, lists)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return str(value)
    except ValueError:  # an integer of thousands of digits
        return ""


def number_of(value: object) -> float | int | None:
    """A wire value as a number, from a number or from its text; else None."""
    if type(value) is int and -_NUMBER_MOST < value < _NUMBER_MOST:  # as nearly every one is
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            return int(value) if len(value) < 20 else None
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, (int, float)) and abs(value) < _NUMBER_MOST:  # also False for NaN
        return value
    return None


def integer_of(value: object) -> int | None:
    """A wire value as a whole number; else None."""
    number = number_of(value)
    return None if number is None else int(number)


def flag_of(value: object) -> bool:
    """A wire value as a bool; the words ``true`` and ``1`` count as true."""
    return text_of(value).lower() in ("true", "1") if not isinstance(value, bool) else value


def is_id(text: str) -> bool:
    """Whether *text* can be an id: not blank, of one line, and not without end."""
    return (
        len(text) <= ID_MOST
        and (text.isprintable() or not CONTROL.search(text))
        and not text.isspace()
        and text != ""
    )


def words_of(value: object) -> str:
    """A wire value as text that is kept: no longer than an id may be."""
    text = text_of(value)[:ID_MOST]
    # Half a surrogate pair, which JSON can hold, could be neither printed nor logged.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def headers_of(value: object) -> dict[str, str]:
    """An object of strings; whatever in it is not text, or past the limit, is left out."""
    headers: dict[str, str] = {}
    room = HEADERS_MOST
    for key, item in value.items() if isinstance(value, dict) else ():
        text = text_of(item)
        room -= len(key) + len(text)
        if room < 0:
            break
        if text or item == "":
            headers[key] = text
    return headers


def digits_of(number: str) -> str:
    """A phone number with everything but its digits left out: what numbers are compared by."""
    return "".join(filter(str.isdigit, number))


@functools.lru_cache(1024)
def _is_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def redact(value: Any) -> Any:
    """*value* with every secret in it masked, for logs; deep nesting and long lists are cut off."""
    return _redacted(value, 6, [SHOWN_MOST])


def _redacted(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if isinstance(value, dict):
        if depth == 0:
            return "{…}"
        shown: dict[str, Any] = {}
        for key, item in value.items():
            if left[0] <= 0:
                break
            secret = _is_secret(key) if isinstance(key, str) else False
            shown[key] = MASK if secret else _redacted(item, depth - 1, left)
        return shown
    if isinstance(value, list):
        if depth == 0:
            return "[…]"
        return [_redacted(item, depth - 1, left) for item in value[:50] if left[0] > 0]
    return value


def masked(message: str | bytes, secrets: Secrets) -> Frame:
    """A frame as it may be shown or kept: its secrets masked, long lists, deep nesting cut off.

    Raises ``ProtocolError`` for what is no frame, or too long to look for secrets in.
    """
    if len(message) > READ_MOST:
        raise ProtocolError(f"{len(message)} characters")
    frame: Frame = _plain(secrets.redact(decode(message)))
    return frame


def loggable(message: str | bytes, secrets: Secrets) -> str:
    """A frame for the log: masked, and not too long."""
    try:
        text = encode(masked(message, secrets))
    except ProtocolError as error:
        return f"({error})"
    return text if len(text) <= LOGGED_MOST else f"{text[:LOGGED_MOST]}… ({len(text)} characters)"


def _plain(value: Any) -> Any:
    """*value* without the credentials of its SIP URIs."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] in ("{", "["):  # JSON as text, as sdk_options are
        try:
            return encode(_plain(redact(json.loads(value))))
        except (ValueError, RecursionError):
            return MASK
    return shown(value)


class Secrets:
    """Our own secrets, so that a reason in which the CM repeats one can be shown.

    Very short ones are left alone (they would mask parts of ordinary words), short ones are
    masked as whole words only. The credentials of the connection are kept for good, of
    those that came with commands the last *limit*.
    """

    def __init__(self, auth_token: str, limit: int = 512) -> None:
        self._limit = limit
        self._own = tuple({auth_token, auth_token.partition(" ")[2]} - {""})
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._added = 0
        self._sorted: tuple[int, list[str]] = (-1, [])  # all of them, when so many were added

    def add(self, *, token: str | None = None, sip: str | None = None) -> None:
        """Remember an RTC token, and a SIP URI with the credentials in it."""
        for secret in filter(None, (token, *sip_secrets(sip or ""))):
            self._recent[secret] = None
            self._recent.move_to_end(secret)
            self._added += 1
        while len(self._recent) > self._limit:
            self._recent.popitem(last=False)

    def mask(self, text: str) -> str:
        """*text* with every secret we know in it replaced, and the password of any SIP URI."""
        return _SIP_PASSWORD.sub(rf"\g<1>{MASK}@", mask(text, self._longest_first()))

    def redact(self, value: Any) -> Any:
        """*value* with every secret in it masked, under whatever key it is."""
        return _masked(redact(value), self._longest_first())

    def _longest_first(self) -> list[str]:
        added = self._added  # read first: another thread may add one meanwhile
        known, found = self._sorted
        if known != added:
            found = sorted({*self._own, *self._recent}, key=len, reverse=True)
            self._sorted = (added, found)
        return found

    def __repr__(self) -> str:
        return f"<Secrets: {len(self._own) + len(self._recent)}>"


def sip_secrets(sip: str) -> list[str]:
    """The parts of a trunk URI that must not be shown: its credentials, else nothing."""
    found = _SIP_PARTS.findall(sip)
    userinfo = _SIP_USERINFO.match(sip)
    if userinfo:
        found += [userinfo[1], *userinfo[1].split(":", 1)]
    return [sip, *found] if found else found


def shown(number: str) -> str:
    """A phone number or SIP URI as it may be shown: without credentials."""
    if "@" not in number and "=" not in number and "?" not in number:  # as nearly every text
        return number
    number = _URL_QUERY.sub(rf"\g<1>?{MASK}", _URL_USER.sub(rf"\g<1>{MASK}@", number))
    number = _SIP_PASSWORD.sub(rf"\g<1>{MASK}@", _USER_AND_PASSWORD.sub(rf"\g<1>{MASK}@", number))
    return _SIP_PARTS.sub(lambda part: part[0].replace(part[1], MASK), number)


def _masked(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, list):
        return [_masked(item, secrets) for item in value]
    if isinstance(value, dict):
        return {key: _masked(item, secrets) for key, item in value.items()}
    return value


def _less(secret: str) -> int:
    return -len(secret)


def mask(text: str, secrets: Sequence[str]) -> str:
    """*text* with each of *secrets* replaced; the longest must come first."""
    # Most are tokens, longer than any text: they need not be looked for.
    for number in range(bisect.bisect_left(secrets, -len(text), key=_less), len(secrets)):
        secret = secrets[number]
        if len(secret) < 4 or secret not in text:
            continue
        if len(secret) < 8:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
        else:
            text = text.replace(secret, MASK)
    return text
