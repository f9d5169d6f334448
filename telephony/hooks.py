"""What a client does, told to whoever counts, times or records: ``Client(hooks=…)`` calls it."""

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
    an object of it, or a list of such objects, to ``Client(hooks=…)``; several clients may share
    one. Methods are called on whatever thread is at work, several at once, so they must be
    thread-safe. They run in the path of every command and event: they must return at once, and
    never block or call the client. What one raises is logged and goes no further.
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

    def frame_sent(self, frame: dict[str, Any]) -> None:
        """*frame* is about to leave: a command, or the registration.

        Told before it leaves, so that no response is ever told before its command. If it cannot
        leave in the end, it is not taken back; its command ends with ``"not_sent"``.

        Secrets in it are masked, deep nesting and long lists are cut off. Frames are only taken
        apart for this where a hook has this method, or the next; they cost some time then.
        """

    def frame_received(self, frame: dict[str, Any]) -> None:
        """*frame* has come: an event, a response, or a word of the handshake.

        Told before anything follows from it. What is no JSON object, or longer than 64 KiB, is
        not told. Otherwise as ``frame_sent``.
        """


METHODS = tuple(name for name in vars(Hooks) if not name.startswith("_"))

#: What is told of a frame.
Told = Callable[[dict[str, Any]], None]


def checked(hooks: object) -> Hooks | None:
    """*hooks*, one or a list of them, made safe to call; raises ``InvalidArgumentError``."""
    if hooks is None:
        return None
    several = hooks if isinstance(hooks, (list, tuple)) else (hooks,)
    found: dict[str, list[Callable[..., Any]]] = {name: [] for name in METHODS}
    for one in several:
        methods = {name: getattr(one, name, None) for name in METHODS}
        if isinstance(one, type) or not any(map(callable, methods.values())):
            raise InvalidArgumentError(
                f"hooks must be an object with any of the methods {', '.join(METHODS)}, "
                "a list of such objects, or None"
            )
        for name, method in methods.items():
            if callable(method) and not _does_nothing(name, method):
                found[name].append(_guarded(name, method))
    safe = Hooks()
    for name, guarded in found.items():
        if guarded:
            setattr(safe, name, guarded[0] if len(guarded) == 1 else _each(guarded))
    return safe if several else None


def told_of_frames(hooks: Hooks | None) -> tuple[Told | None, Told | None]:
    """``frame_sent`` and ``frame_received`` of what ``checked`` returned; None if nobody has it."""
    own = vars(hooks) if hooks is not None else {}
    return own.get("frame_sent"), own.get("frame_received")


def _does_nothing(name: str, method: Any) -> bool:
    return getattr(method, "__func__", None) is vars(Hooks)[name]


def _each(methods: list[Callable[..., Any]]) -> Callable[..., None]:
    def each(*args: Any) -> None:
        for method in methods:
            method(*args)

    return each


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
