"""A session's frames in a file: written by ``Recorder``, read back by ``read``.

The file is JSON lines. The first says what it is::

    {"format":"telephony-recording","version":1,"library":"0.1.0","started":"2026-…+00:00",
     "numbers":true,"digits":true}

and each of the others what happened, ``at`` so many seconds after that::

    {"at":0.0123,"what":"received","frame":{"status":"connected",…}}
    {"at":0.0125,"what":"sent","frame":{"action":"register","auth_token":"***",…}}
    {"at":0.0131,"what":"connected","reconnected":false}
    {"at":9.8112,"what":"disconnected"}
    {"at":9.9000,"what":"full"}

``connected``: registered. ``disconnected``: lost, or closed by the client. ``full``: the file had
reached its most bytes; nothing more was written. A reader passes over what it does not know.

`telephony.testing.Replay` plays such a file to a client.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
import time
from datetime import datetime, timezone
from typing import Any, Iterator

import attrs

from telephony._version import __version__
from telephony.errors import InvalidArgumentError, TelephonyError
from telephony.hooks import Hooks
from telephony.protocol.wire import Frame, digits_of, encode, text_of

log = logging.getLogger("telephony")

FORMAT, VERSION = "telephony-recording", 1

SENT, RECEIVED, CONNECTED, DISCONNECTED, FULL = KINDS = (
    "sent", "received", "connected", "disconnected", "full",
)  # fmt: skip

#: Fields that hold phone numbers and nothing else; ``to`` may have digits behind it.
NUMBER_FIELDS = frozenset({"to", "from", "did", "callerid", "destination", "numbers",
                           "subscribe_numbers"})  # fmt: skip
#: Fields that hold keys pressed.
DIGIT_FIELDS = frozenset({"digits", "pin"})

#: A number somewhere in a text; but not the digits of a UUID, as most calls have for an id.
_PHONE_NUMBER = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?<![0-9A-Za-z])(\d{7,15})(?![0-9A-Za-z])"
)
_DIGITS_BEHIND = re.compile(r"(.*?)((?:;dtmf=|#|$))(.*)", re.IGNORECASE | re.DOTALL)


class RecordingError(TelephonyError):
    """A file is no recording, or cannot be read; the message names file and line."""


class Recorder(Hooks):
    """Writes what one client sends and receives to a file, as ``Client(hooks=…)``.

    ::

        with Recorder("incident.jsonl") as recorder:
            with Client.from_env(hooks=recorder) as client:
                ...

    *path* is a file that does not exist yet: a recording is never written over. Only its owner
    can read it (mode 0600). Tokens, passwords and trunk URIs are masked in it, phone numbers and
    pressed digits are not, unless asked for: with ``numbers=False`` each phone number becomes
    another one, the same everywhere in the file; with ``digits=False`` each digit pressed becomes
    a ``0``. (What words say, as the names in SIP headers, stays.) After *max_bytes* no more is
    written, and the last line says so.

    Each client needs a recorder of its own. A line is in the file before its frame leaves or is
    acted upon, so a crash loses none. Thread-safe, and it never raises into the client: when
    the file cannot be written any more, that is logged once. A forked child writes nothing into
    its parent's file. The file is written on the client's own threads, so put it on a disk that
    does not stall.

    Raises ``InvalidArgumentError`` for a file that cannot be made.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        numbers: bool = True,
        digits: bool = True,
        max_bytes: int = 64 << 20,
    ) -> None:
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
            raise InvalidArgumentError(f"max_bytes must be a whole number, not {max_bytes!r}")
        self.path = os.fspath(path)
        self._disguise = Disguise(numbers=numbers, digits=digits)
        self._max_bytes = max_bytes
        self._size = 0
        self._client_id: str | None = None
        self._shared = False  # by two clients, by mistake
        self._pid = os.getpid()
        # Guards the file and its size. A signal handler that closes the client may come in the
        # middle of a line of the same thread's.
        self._lock = threading.RLock()
        self._file: int | None = _new_file(self.path)
        self._began = time.monotonic()
        started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._write(
            {
                "format": FORMAT,
                "version": VERSION,
                "library": __version__,
                "started": started,
                "numbers": numbers,
                "digits": digits,
            },
            always=True,
        )

    def close(self) -> None:
        """Write no more; again: nothing. The file is complete at any time."""
        # In a forked child another thread may hold the lock for ever.
        with self._lock if os.getpid() == self._pid else contextlib.nullcontext():
            file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.close()

    def __repr__(self) -> str:
        return f"<Recorder to {self.path}>"

    # --- what the client tells -------------------------------------------------------------

    def frame_sent(self, frame: dict[str, Any]) -> None:
        """Written as ``sent``."""
        self._note(SENT, frame=frame)

    def frame_received(self, frame: dict[str, Any]) -> None:
        """Written as ``received``."""
        self._note(RECEIVED, frame=frame)

    def connected(self, reconnected: bool) -> None:
        """Written as ``connected``."""
        self._note(CONNECTED, reconnected=reconnected)

    def disconnected(self) -> None:
        """Written as ``disconnected``."""
        self._note(DISCONNECTED)

    def _note(self, what: str, **more: Any) -> None:
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._file is None:
                return
            if "frame" in more:
                self._mind(more["frame"])
                more["frame"] = self._disguise(more["frame"])
            at = round(time.monotonic() - self._began, 6)
            if not self._write({"at": at, "what": what, **more}):
                self._write({"at": at, "what": FULL}, always=True)
                log.warning("the recording %s is full: %d bytes", self.path, self._size)
                self.close()

    def _mind(self, frame: dict[str, Any]) -> None:
        """Say so, once, when a second client writes here. Wants the lock."""
        client_id = frame.get("client_id") if frame.get("action") == "register" else None
        if client_id is None or client_id == self._client_id or self._shared:
            return
        if self._client_id is not None:
            self._shared = True
            log.error(
                "the recording %s is of two clients, and cannot be replayed: each needs a "
                "recorder of its own", self.path,
            )  # fmt: skip
        self._client_id = client_id

    def _write(self, line: dict[str, Any], *, always: bool = False) -> bool:
        """Write a line in one piece; false if there is no room for it. Wants the lock."""
        data = f"{encode(line)}\n".encode()
        if self._file is None:
            return True
        if not always and self._size + len(data) > self._max_bytes:
            return False
        self._size += len(data)
        try:
            while data:
                data = data[os.write(self._file, data):]
        except OSError as error:
            log.error("the recording %s ends here: %s", self.path, error.strerror)
            self.close()
        return True


def _new_file(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        why = "it exists, and a recording is never written over"
    except (OSError, ValueError, TypeError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise InvalidArgumentError(f"path: cannot record to {path!r}: {why}")


class Disguise:
    """Replaces phone numbers and pressed digits in frames, as the recorder was told.

    A number is known by its digits, and becomes another of the same length. Where it stands in a
    text (a channel's name, a SIP header) it is replaced too.
    """

    def __init__(self, *, numbers: bool, digits: bool) -> None:
        self._numbers = not numbers
        self._digits = not digits
        self._made_up: dict[str, str] = {}

    def __call__(self, frame: Frame) -> Frame:
        if self._numbers or self._digits:
            frame = {key: self._other(key, value) for key, value in frame.items()}
        return frame

    def _other(self, key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {inner: self._other(inner, item) for inner, item in value.items()}
        if isinstance(value, list):
            return [self._other(key, item) for item in value]
        if key in DIGIT_FIELDS:
            return _zeros(text_of(value)) if self._digits else value
        if key in NUMBER_FIELDS:
            return self._dialled(text_of(value))
        if isinstance(value, str) and key != "timestamp" and self._numbers:
            return _PHONE_NUMBER.sub(self._found, value)
        return value

    def _dialled(self, text: str) -> str:
        """A phone number, perhaps with digits to press behind it."""
        number, mark, behind = _DIGITS_BEHIND.match(text).groups()  # type: ignore[union-attr]
        if self._numbers:
            number = self._another(number)
            behind = _PHONE_NUMBER.sub(self._found, behind)  # after #31# it is the number
        if self._digits:
            behind = _zeros(behind)
        return f"{number}{mark}{behind}"

    def _another(self, number: str) -> str:
        """Another phone number, with what is no digit left where it was."""
        digits = digits_of(number)
        if len(digits) < 3 or not digits.isascii():
            return number
        others = iter(self._digits_for(digits))
        text = "".join(next(others) if char.isdigit() else char for char in number)
        return text + "".join(others)

    def _found(self, found: re.Match[str]) -> str:
        return self._digits_for(found[1]) if found[1] else found[0]

    def _digits_for(self, digits: str) -> str:
        if digits not in self._made_up:
            count = len(self._made_up) + 1
            length = len(digits)
            area, rest = ("1555", length - 4) if length > 7 else ("", length)
            self._made_up[digits] = f"{area}{count:0{rest}}"
        return self._made_up[digits]


def holds_number(text: str) -> bool:
    """Whether a phone number stands somewhere in *text*, as far as that can be seen."""
    return any(_PHONE_NUMBER.findall(text))


def _zeros(digits: str) -> str:
    return re.sub(r"\d", "0", digits)


# --- reading -----------------------------------------------------------------------------


@attrs.frozen
class Entry:
    """One line: *what* (see the module) happened *at* so many seconds; *line* counts from 1."""

    line: int
    at: float
    what: str
    frame: Frame = attrs.field(factory=dict, repr=False)


@attrs.frozen
class Recording:
    """What a file holds. *numbers* and *digits*: whether they are the real ones."""

    path: str
    library: str
    started: str
    numbers: bool
    digits: bool
    entries: tuple[Entry, ...] = attrs.field(repr=False)


def read(path: str | os.PathLike[str]) -> Recording:
    """The recording in the file *path*; raises ``RecordingError`` naming file and line."""
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            *lines, rest = file.read().split(b"\n")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise RecordingError(f"{name}: cannot be read: {why}") from None
    if rest:
        raise _wrong(name, len(lines) + 1, "is cut off; without it the rest can be read")
    objects = _objects(name, lines)
    _, head = next(objects, (1, {}))
    if head.get("format") != FORMAT:
        raise _wrong(name, 1, "is not the beginning of a telephony recording")
    if head.get("version") != VERSION:
        version, library = head.get("version"), head.get("library")
        why = f"is of version {version}, by library {library}; this one reads version {VERSION}"
        raise _wrong(name, 1, why)
    return Recording(
        path=name,
        library=str(head.get("library", "")),
        started=str(head.get("started", "")),
        numbers=head.get("numbers") is not False,
        digits=head.get("digits") is not False,
        entries=tuple(_entries(name, objects)),
    )


def _objects(name: str, lines: list[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise _wrong(name, number, "is not JSON") from None
        if not isinstance(found, dict):
            raise _wrong(name, number, "is not a JSON object")
        yield number, found


def _entries(name: str, objects: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Entry]:
    for number, found in objects:
        what, at, frame = found.get("what"), found.get("at"), found.get("frame", {})
        if what not in KINDS:
            continue
        if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 <= at < 1e9:
            raise _wrong(name, number, "has no time ('at', in seconds)")
        if what in (SENT, RECEIVED) and (not isinstance(frame, dict) or not frame):
            raise _wrong(name, number, f"says {what} and has no frame")
        if what == SENT and not isinstance(frame.get("action"), str):
            raise _wrong(name, number, "has a command without an action")
        yield Entry(number, float(at), what, frame)


def _wrong(name: str, line: int, why: str) -> RecordingError:
    return RecordingError(f"{name}, line {line}: {why}")
