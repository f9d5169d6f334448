"""WebSocket frames to and from bytes (RFC 6455, section 5): no socket, no thread, no clock.

websocket-client reads a frame in three socket calls and builds an object for it; here all whole
frames of a 64 KiB read are cut out in one pass. Each limit is checked on the frame's header,
before its payload is waited for.
"""

from __future__ import annotations

import os
import struct
from typing import Iterator

import attrs
from websocket import ABNF

# As in websocket-client's VALID_CLOSE_STATUS, with what each means in words.
_CLOSE_CODES = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "extension missing",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}
PROTOCOL_ERROR, TOO_BIG = 1002, 1009

#: The first half of a header, and what follows it.
_HEAD = struct.Struct("!HH").unpack_from
#: That half of a text message in one piece, whose size is to be added: 126 if it follows.
_TEXT = (0x80 | ABNF.OPCODE_TEXT) << 8
_LONGER_TEXT = _TEXT + 126


#: Masking keys: to ask the system for each takes as long as all else about a frame. To take the
#: next one is a step in C, so that threads need no lock for it.
_keys: Iterator[bytes] = iter(())


def _forget_keys() -> None:
    global _keys
    _keys = iter(())


if hasattr(os, "register_at_fork"):  # pragma: no branch - not so on Windows only
    os.register_at_fork(after_in_child=_forget_keys)  # they are the parent's


def _more_keys() -> bytes:
    """One key, and 1,023 more for the next frames."""
    global _keys
    pool = os.urandom(4096)
    _keys = iter([pool[at:at + 4] for at in range(4, 4096, 4)])
    return pool[:4]


def encode(opcode: int, payload: bytes) -> bytes:
    """One whole masked frame, as clients send them."""
    size = len(payload)
    key = next(_keys, b"") or _more_keys()
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    # One XOR of two long integers: a loop over 200 bytes takes 13 times as long as all of this.
    pad = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")
    return head + key + masked.to_bytes(size, "little")


def encode_close(code: int) -> bytes:
    return encode(ABNF.OPCODE_CLOSE, struct.pack("!H", code))


@attrs.frozen
class End:
    """No frame can follow: the server closed, or broke a rule.

    ``goodbye`` is the code to close with, None if nothing need be said.
    """

    reason: str
    goodbye: int | None
    protocol_error: bool = False


class FrameReader:
    """Cuts messages out of the bytes of a server. One thread only.

    After ``feed``: ``pings`` holds the payloads to answer (the caller empties it), ``end`` is
    set once nothing more can come.
    """

    def __init__(self, max_message_size: int, max_fragments: int) -> None:
        self._max_size = max_message_size
        self._max_fragments = max_fragments
        self._buffer = bytearray()  # the beginning of a frame
        self._wanted = 2  # how long the buffer must be to be worth looking at
        self._opcode = 0  # of the message whose fragments are being gathered, or 0
        self._fragments: list[bytes] = []
        self._size = 0
        self.pings: list[bytes] = []
        self.end: End | None = None

    def feed(self, data: bytes) -> list[str | bytes]:
        """All whole messages, in order: text as str; binary or not UTF-8 as bytes."""
        messages: list[str | bytes] = []
        if self.end is not None:
            return messages
        source: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return messages
            source = self._buffer
        position, before = 0, -1
        while position != before:
            before = self._cut_texts(source, position, messages)
            position = self._cut_one(source, before, messages)
        if self.end is not None:
            self._buffer.clear()
            self._fragments.clear()
        elif source is self._buffer:
            del self._buffer[:position]
        elif position < len(source):
            self._buffer += source[position:]
        return messages

    def _cut_texts(
        self, source: bytes | bytearray, position: int, messages: list[str | bytes]
    ) -> int:
        """Take in text messages in one piece of less than 64 KiB, which nearly all frames are.

        Returns where the first frame is that is none, or not there as a whole: that is for
        ``_cut_one``, which takes twice as long.
        """
        limit = len(source) if not self._opcode else 0
        while limit - position >= 4:
            head, size = _HEAD(source, position)
            if head == _LONGER_TEXT:
                start = position + 4
            elif _TEXT <= head < _LONGER_TEXT:
                start = position + 2
                size = head - _TEXT
            else:
                break
            stop = start + size
            if stop > limit or size > self._max_size:
                break
            try:
                messages.append(source[start:stop].decode())
            except UnicodeDecodeError:
                messages.append(bytes(source[start:stop]))
            position = stop
        return position

    def _cut_one(
        self, source: bytes | bytearray, position: int, messages: list[str | bytes]
    ) -> int:
        """Take in any frame; returns where it ends, or *position* if no more can be taken in."""
        there = len(source) - position
        self._wanted = 2
        if there < 2:
            return position
        first, size = source[position], source[position + 1]
        start = position + 2
        if size >= 126:
            extra = 2 if size == 126 else 8 if size == 127 else 0
            if extra == 0:
                self._break("a masked frame")
                return position
            self._wanted = 2 + extra
            if there < self._wanted:
                return position
            size = int.from_bytes(source[start:start + extra], "big")
            start += extra
        if not self._allows(first, size):
            return position
        stop = start + size
        self._wanted = stop - position
        if there < self._wanted:
            return position
        return stop if self._take(first, bytes(source[start:stop]), messages) else position

    def _allows(self, first: int, size: int) -> bool:
        """Check a header; sets ``end`` if the frame is not allowed."""
        opcode = first & 0x0F
        if first & 0x70:
            self._break("reserved bits set")
        elif opcode not in ABNF.OPCODES:
            self._break("an unknown opcode")
        elif opcode >= ABNF.OPCODE_CLOSE:
            if not first & 0x80 or size > 125:
                self._break("a fragmented or too long control frame")
        elif (opcode == ABNF.OPCODE_CONT) != bool(self._opcode):
            self._break("a fragment out of place")
        elif self._size + size > self._max_size:
            self.end = End(f"a message is larger than {self._max_size} bytes", TOO_BIG, True)
        elif len(self._fragments) >= self._max_fragments:
            self.end = End(f"a message has more than {self._max_fragments} parts", TOO_BIG, True)
        return self.end is None

    def _take(self, first: int, payload: bytes, messages: list[str | bytes]) -> bool:
        """Take in a frame which is not a text message in one piece; False after the last one."""
        opcode = first & 0x0F
        if opcode == ABNF.OPCODE_PING:
            self.pings.append(payload)
        elif opcode == ABNF.OPCODE_CLOSE:
            self._close(payload)
            return False
        elif opcode != ABNF.OPCODE_PONG:
            self._opcode = opcode or self._opcode
            self._fragments.append(payload)
            self._size += len(payload)
            if first & 0x80:
                whole = b"".join(self._fragments)
                messages.append(_text(whole) if self._opcode == ABNF.OPCODE_TEXT else whole)
                self._opcode = self._size = 0
                self._fragments = []
        return True

    def _close(self, payload: bytes) -> None:
        # The server's own words are left out: they may repeat what we sent.
        code = int.from_bytes(payload[:2], "big")
        if not payload:
            self.end = End("the server closed the connection", 1000)
        elif len(payload) >= 2 and (code in _CLOSE_CODES or 3000 <= code < 5000):
            meaning = _CLOSE_CODES.get(code)
            words = f"{code}, {meaning}" if meaning else str(code)
            self.end = End(f"the server closed the connection ({words})", code)
        else:
            self._break("an invalid close frame")

    def _break(self, what: str) -> None:
        self.end = End(f"the server broke the WebSocket protocol: {what}", PROTOCOL_ERROR, True)


def _text(payload: bytes) -> str | bytes:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload
