"""Counters and timings for operators: what ``Client(hooks=…)`` calls."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from typing import Any, Callable, Generator

from telephony.errors import CommandRefusedError, InvalidArgumentError, NotSentError

log = logging.getLogger("telephony")


class Hooks:
    """Told what a client does, to count and to time it; here every method does nothing.

    Write a class of your own with any of these methods (this one as its base or not) and give
    an object of it to ``Client(hooks=…)``; several clients may share one. Methods are called on
    whatever thread is at work, several at once, so they must be thread-safe. They run in the
    path of every command and event: they must return at once, and never block or call the
    client. What one raises is logged and goes no further.
    """

    def command_ended(self, action: str, end: str, seconds: float) -> None:
        """A command came to its end, *seconds* after it was called.

        *action* is the wire's word (``outbound``, ``endcall``). *end* is ``"ok"``; ``"refused"``
        by the CM; ``"not_sent"``; or ``"unknown"``: sent, and no answer came in time. For the
        first two *seconds* is the round trip. The ``endcall`` that the library sends for an
        orphan is not among them: the event ``call_orphaned`` tells of it.
        """

    def event_received(self, name: str) -> None:
        """An event is about to be handed to callbacks, if any want it.

        *name* is ``Event.name``: the wire's word, or the library's own (``call_orphaned``,
        ``gap``, ``error``). The CM may send names that nobody has heard of.
        """

    def callback_queued(self, length: int) -> None:
        """An event's callbacks wait for a thread; *length* events wait now, with this one."""

    def callback_started(self, length: int, seconds: float) -> None:
        """Callbacks begin, *seconds* after they were queued; *length* events still wait."""

    def connected(self, reconnected: bool) -> None:
        """The client is registered; *reconnected*: after it had lost its connection."""

    def disconnected(self) -> None:
        """A connection that was registered is gone: lost, or closed by us."""


METHODS = tuple(name for name in vars(Hooks) if not name.startswith("_"))


def checked(hooks: object) -> Hooks | None:
    """*hooks* made safe to call, all methods there; raises ``InvalidArgumentError``."""
    if hooks is None:
        return None
    found = {name: getattr(hooks, name, None) for name in METHODS}
    if isinstance(hooks, type) or not any(map(callable, found.values())):
        raise InvalidArgumentError(
            f"hooks must be an object with any of the methods {', '.join(METHODS)}, or None"
        )
    safe = Hooks()
    for name, method in found.items():
        if callable(method):
            setattr(safe, name, _guarded(name, method))
    return safe


def _guarded(name: str, method: Callable[..., Any]) -> Callable[..., None]:
    @functools.wraps(method)
    def guarded(*args: Any) -> None:
        try:
            method(*args)
        except BaseException as error:
            # On a thread of ours nothing may go further; on a caller's what is meant for the
            # caller does: Ctrl-C, or the time limit of a greenlet.
            ours = threading.current_thread().name.startswith("telephony-")
            if not ours and not isinstance(error, (Exception, SystemExit)):
                raise
            log.exception("the hook %s failed", name)

    return guarded


@contextlib.contextmanager
def counted(
    hooks: Hooks | None, action: str, began: float | None = None
) -> Generator[None, None, None]:
    """Tell *hooks* how the command ends that is carried out inside (and *began* before)."""
    if hooks is None:
        yield
        return
    began, end = time.monotonic() if began is None else began, "unknown"
    try:
        yield
        end = "ok"
    except CommandRefusedError:
        end = "refused"
        raise
    except NotSentError:
        end = "not_sent"
        raise
    finally:
        hooks.command_ended(action, end, time.monotonic() - began)
