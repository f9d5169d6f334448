"""``FrameReader`` under a fuzzer: the bytes of a server, bad ones too, cut anywhere.

It is compared with a reading of RFC 6455 that is as simple as it can be: one frame after the
other, from bytes that are all there.
"""

from __future__ import annotations

import random

from telephony.runtime.frames import FrameReader
from tests.unit.runtime.transport_peers import BINARY, CLOSE, PING, PONG, TEXT, close_frame, frame

MOST_BYTES = 300
MOST_PARTS = 6
CODES = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}

Read = tuple[list["str | bytes"], list[bytes], "str | None"]


def reference(data: bytes) -> Read:
    """Messages, payloads of pings, and how it ends: ``close``, ``broken``, ``too big``, None."""
    messages: list[str | bytes] = []
    pings: list[bytes] = []
    parts: list[bytes] = []
    kind = 0
    while len(data) >= 2:
        final, reserved, opcode = data[0] & 0x80, data[0] & 0x70, data[0] & 0x0F
        size, start = data[1], 2
        if size & 0x80:
            return messages, pings, "broken"
        if size > 125:
            start = 4 if size == 126 else 10
            if len(data) < start:
                break
            size = int.from_bytes(data[2:start], "big")
        control = opcode in (CLOSE, PING, PONG)
        if reserved or not (control or opcode in (0, TEXT, BINARY)):
            return messages, pings, "broken"
        if control and (not final or size > 125):
            return messages, pings, "broken"
        if not control:
            if (opcode == 0) != (kind != 0):
                return messages, pings, "broken"
            if sum(map(len, parts)) + size > MOST_BYTES or len(parts) == MOST_PARTS:
                return messages, pings, "too big"
        if len(data) < start + size:
            break
        payload, data = data[start:start + size], data[start + size:]
        if opcode == PING:
            pings.append(payload)
        elif opcode == CLOSE:
            fine = not payload or int.from_bytes(payload[:2], "big") in CODES and len(payload) > 1
            return messages, pings, "close" if fine else "broken"
        elif opcode != PONG:
            kind = kind or opcode
            parts.append(payload)
            if final:
                whole = b"".join(parts)
                try:
                    messages.append(whole.decode() if kind == TEXT else whole)
                except UnicodeDecodeError:
                    messages.append(whole)
                kind, parts = 0, []
    return messages, pings, None


class Stream:
    """One case: some frames, mutated, fed in pieces of any size."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.data = self._mutated(b"".join(self._frame() for _ in range(chance.randrange(1, 12))))

    def _frame(self) -> bytes:
        chance = self._chance
        payload = chance.choice((b"", b"{}", b"\xff\xfe", "é☎".encode(), b"x" * 126, b"y" * 300))
        roll = chance.random()
        if roll < 0.35:
            return frame(payload)
        if roll < 0.6:  # in parts, which a ping may interrupt
            count = chance.randrange(1, MOST_PARTS + 2)
            parts = [frame(payload[:40], TEXT if chance.random() < 0.5 else BINARY, fin=False)]
            parts += [frame(payload[:20], 0, fin=False) for _ in range(count - 1)]
            if chance.random() < 0.3:
                parts.insert(chance.randrange(len(parts) + 1), frame(b"now", PING))
            return b"".join(parts) + frame(b"", 0)
        if roll < 0.7:
            return frame(payload[:100], chance.choice((PING, PONG)))
        if roll < 0.75:
            return frame(payload, BINARY)
        if roll < 0.8:
            return close_frame(chance.choice((1000, 1001, 1005, 1015, 3000, 4999, 5000, 0)), b"x")
        if roll < 0.85:
            return chance.choice((frame(b"", CLOSE), frame(b"x", CLOSE)))
        if roll < 0.9:
            return frame(payload, masked=True)
        if roll < 0.95:
            return frame(b"", claim=chance.choice((126, 301, 1 << 16, 1 << 40, 1 << 63)))
        return frame(payload, chance.randrange(16), fin=chance.random() < 0.5,
                     rsv=chance.choice((0, 0x10, 0x40)))

    def _mutated(self, data: bytes) -> bytes:
        chance = self._chance
        changed = bytearray(data)
        for _ in range(chance.choice((0, 0, 1, 1, 3))):
            place = chance.randrange(len(changed) or 1)
            roll = chance.randrange(4)
            if roll == 0 and changed:
                changed[place % len(changed)] ^= 1 << chance.randrange(8)
            elif roll == 1:
                changed[place:place] = chance.randbytes(chance.randrange(1, 4))
            elif roll == 2:
                del changed[place:place + chance.randrange(1, 20)]
            else:
                del changed[place:]
        return bytes(changed)

    def run(self) -> None:
        reader = FrameReader(MOST_BYTES, MOST_PARTS)
        messages: list[str | bytes] = []
        rest = self.data
        while rest:
            size = self._chance.choice((1, 2, 3, 10, 200, 5000))
            messages += reader.feed(rest[:size])
            rest = rest[size:]
            held = len(reader._buffer) + sum(map(len, reader._fragments))
            assert held <= 2 * MOST_BYTES + 14, f"{held} bytes are held"
        end = reader.end
        ended = None
        if end is not None:
            assert end.reason
            ended = {1002: "broken", 1009: "too big"}.get(end.goodbye or 0, "close")
            if not end.protocol_error:
                ended = "close"
            assert [] == reader.feed(frame(b"late")), "it reads on after the end"
        assert reference(self.data) == (messages, reader.pings, ended)
