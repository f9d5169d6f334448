"""A TCP proxy on loopback that does to a connection what networks do to it.

It stands between clients and one Call Manager: bytes go ``UP`` to the Call Manager and ``DOWN``
to the client. Undisturbed it passes them on at once. What it is told to do holds for the
connections there are and for those to come, until ``heal()``; a cut happens once.
"""

from __future__ import annotations

import selectors

from tests.faults.forwarding import SECONDS, Forwarding
from tests.faults.links import DOWN, FIN, RST, UP, Cut

__all__ = ["DOWN", "FIN", "RST", "UP", "Cut", "Proxy"]


class Proxy(Forwarding):
    """The proxy; as a context manager. Every method may be called from any thread, and returns
    when it has taken effect."""

    def __enter__(self) -> Proxy:
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._answer)
        self._listen(True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every connection with a reset, and the thread; again: nothing."""
        self._do(lambda: setattr(self, "_stopping", True))
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the proxy does not stop"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    # --- what can be done to connections ---------------------------------------------------

    def delay(self, direction: str, seconds: float) -> None:
        """Let every byte that comes from now on be so much later."""
        self._do(lambda: self._delay.update({direction: seconds}))

    def slice(self, direction: str, size: int) -> None:
        """Pass on no more than *size* bytes at a time; 0: as they come."""
        self._do(lambda: self._piece.update({direction: size}))

    def hold(self, direction: str, on: bool = True) -> None:
        """Take bytes in and keep them, until told to go on."""
        self._do(lambda: self._held.update({direction: on}))

    def trickle(self, direction: str) -> int:
        """Of what is held back let one piece go (see ``slice``); returns its length."""
        passed: list[int] = []
        self._do(lambda: passed.append(self._trickle(direction)))
        return sum(passed)

    def stop_reading(self, direction: str, on: bool = True) -> None:
        """Leave bytes where they are, so that whoever sends them gets stuck in the end."""
        self._do(lambda: self._unread.update({direction: on}))

    def blackhole(self) -> None:
        """Swallow all that comes, both ways; who connects now reaches nobody."""
        self._do(self._begin_swallowing)

    def refuse(self, on: bool = True) -> None:
        """Refuse whoever connects."""
        self._do(lambda: self._listen(not on))

    def cut(self, direction: str, after: int, how: str = RST) -> Cut:
        """End the connection once *after* more bytes have passed; with 0, at the next byte."""
        cut = Cut(direction, after, how)
        self._do(lambda: setattr(self, "_cut", cut))
        return cut

    def call_off(self) -> None:
        """Forget about a cut that has not happened."""
        self._do(lambda: setattr(self, "_cut", None))

    def end(self, how: str = RST) -> None:
        """End every connection now."""
        self._do(lambda: self._end_all(how))

    def half_close(self, direction: str) -> None:
        """Let who receives in this direction believe that the other side has said its last."""
        self._do(lambda: self._half_close_all(direction))

    def heal(self) -> None:
        """Behave again. Connections that lost bytes are reset, others get what they waited for."""
        self._do(self._heal)

    def mark(self) -> None:
        """Forget what has passed up to now: tapes begin here."""
        self._do(self._clear_tapes)

    def wait_accepted(self, count: int, timeout: float = SECONDS) -> bool:
        """Wait until so many connections have come in all."""
        with self._arrival:
            return self._arrival.wait_for(lambda: self.accepted >= count, timeout)

    def sync(self) -> None:
        """Return when what was passed on by now is on the tapes."""
        self._do(lambda: None)

    @property
    def open_links(self) -> int:
        return len(self._open)
