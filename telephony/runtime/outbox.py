"""Frames on their way out, in order, and how far each has got.

No socket and no lock of its own: `stream` calls it under its lock and hands in how to send.
"""

from __future__ import annotations

import collections
import types
from typing import Callable

MAX_POSTED_FRAMES = 10_000
MAX_POSTED_BYTES = 16 << 20
_BATCH = 1 << 16  # small frames leave together, up to this many bytes

QUEUED, LEAVING, LEFT = "queued", "leaving", "left"


class Frame:
    """One frame. ``start`` is its place in the wire bytes, once it is among them."""

    __slots__ = ("data", "owned", "place", "start")

    def __init__(self, data: bytes, *, owned: bool) -> None:
        self.data = data
        self.owned = owned  # a thread waits for it, and that thread's deadline holds for it
        self.place = ""
        self.start = 0


class Outbox:
    """``wire`` holds the bytes now leaving, of which ``_counts`` left; the rest stands in line.

    Once any byte of a frame is out the rest must follow before all else, whatever becomes of the
    thread that brought it. So a frame in ``wire`` is never taken back.
    """

    def __init__(self) -> None:
        self._line: collections.deque[Frame] = collections.deque()
        self._batch: list[Frame] = []  # what wire is made of
        self._wire = b""
        self._counts: list[int] = []  # what each send of the wire took
        self._posted_frames = 0
        self._posted_bytes = 0
        self._torn = False

    def __bool__(self) -> bool:
        return bool(self._wire or self._line)

    @property
    def _sent(self) -> int:
        return sum(self._counts)

    @property
    def torn(self) -> bool:
        """An interrupt came in between: nobody knows what is in the wire, or has left of it."""
        return self._torn

    @property
    def guarded(self) -> bool:
        """Someone waits for what is leaving now, and will give up when its deadline passes."""
        return any(frame.owned for frame in self._batch)

    def has_room(self, size: int) -> bool:
        """May one more frame be posted? Only those nobody waits for can pile up."""
        return (
            self._posted_frames < MAX_POSTED_FRAMES
            and self._posted_bytes + size <= MAX_POSTED_BYTES
        )

    def put(self, frame: Frame) -> None:
        """Put it in line. If it is owned, without the lock: whoever holds the lock sends it."""
        frame.place = QUEUED
        if not frame.owned:
            self._count(frame, 1)
        self._line.append(frame)

    def disown(self, frame: Frame) -> None:
        """Its thread gave up: take it back, or leave its rest to whoever writes next."""
        if frame.place == QUEUED and frame in self._line:
            self._line.remove(frame)
        elif frame.place == LEAVING and frame.owned:
            frame.owned = False
            self._count(frame, 1)

    def begun(self, frame: Frame) -> bool:
        """May any byte of the frame have left?"""
        return frame.place == LEFT or (
            frame.place == LEAVING and (self._torn or self._sent > frame.start)
        )

    def flush(
        self,
        send: Callable[[bytes | memoryview], int],
        encrypt: Callable[[bytes], bytes] | None,
    ) -> None:
        """Send all that ``send`` takes; raises what it raises but for "not now"."""
        try:
            while self._wire or self._load(encrypt):
                counts = self._counts
                # No copy in the usual case, in which the whole of it leaves at once.
                rest = memoryview(self._wire)[sum(counts):] if counts else self._wire
                # All in C, from the system call to the note of what it took: Ctrl-C, which
                # mostly comes during that call, cannot be handled between the two.
                noted = len(counts)
                try:
                    counts.extend(map(send, (rest,)))
                except OSError:
                    raise
                except BaseException:
                    # gevent's send is Python, and can be interrupted after its system call.
                    in_c = isinstance(send, types.BuiltinMethodType)
                    self._torn = not in_c and len(counts) == noted
                    raise
                if counts[-1] == len(rest):
                    self._unload()
        except (BlockingIOError, InterruptedError):
            pass

    def _load(self, encrypt: Callable[[bytes], bytes] | None) -> bool:
        """Put the next batch into ``_wire``: is there any?"""
        line, size = self._line, 0
        if not line and encrypt is None:  # else TLS itself may have something to say
            return False
        self._torn = True
        batch = self._batch
        while line and size < _BATCH:
            frame = line.popleft()
            frame.place = LEAVING
            # Of a TLS record it cannot be told which of its frames has not begun to leave.
            frame.start = 0 if encrypt else size
            size += len(frame.data)
            batch.append(frame)
        clear = batch[0].data if len(batch) == 1 else b"".join([frame.data for frame in batch])
        self._wire = encrypt(clear) if encrypt else clear
        self._torn = False
        return bool(self._wire)

    def _unload(self) -> None:
        """Note that the batch left."""
        self._torn = True
        for frame in self._batch:
            frame.place = LEFT
            if not frame.owned:
                self._count(frame, -1)
        self._batch = []
        self._counts = []
        self._wire = b""
        self._torn = False

    def _count(self, frame: Frame, sign: int) -> None:
        self._posted_frames += sign
        self._posted_bytes += sign * len(frame.data)
