"""What the commands say, whoever reads it: the interface, and what all kinds of output share.

`columns` prints lines for people, `jsonlines` an object a line for programs, and `live` a view
that changes in place, on a terminal that can.
"""

from __future__ import annotations

import _thread
import abc
import contextlib
import os
import shlex
import signal
import threading
from typing import TYPE_CHECKING, Any, ContextManager, Mapping, TextIO

import attrs

from telephony.protocol.events import Event, UnknownEvent
from telephony.protocol.wire import redact

if TYPE_CHECKING:
    from telephony.call import Call
    from telephony.client import Client
    from telephony.protocol.calls import CallInfo

#: what events have beside what all of them have
_EXTRAS = (
    "digits",
    "echo",
    "hangup_cause",
    "duration",
    "billsec",
    "sip_disposition",
    "reason",
    "session_id",
    "reconnected",
    "seconds",
)

#: what is said of an interruption that waits for a call to be hung up
HELD = "interrupted: hanging up as soon as it can be (again: leave at once)"


class Output(abc.ABC):
    """Prints to *out*, complaints to *err*; any thread may.

    When *out* cannot be written to, nothing is printed any more, ``broken`` is true from then
    on, and the main thread is interrupted as by Ctrl-C, unless it is ``ending`` anyway. It is
    complained of, except that a reader went away.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self.broken = False
        self.ending = False
        self._own = False  # a SIGINT of our own is under way
        self._out = out
        self._err = err
        self._lock = threading.Lock()  # guards _out: lines must not mix

    def close(self) -> None:
        """Leave the terminal as it is to be found; nothing is printed after that."""

    # --- what there is to say --------------------------------------------------------------

    @abc.abstractmethod
    def event(self, event: Event) -> None:
        """Print an event, as its callback."""

    @abc.abstractmethod
    def step(self, step: str, detail: str = "", call: Call | None = None) -> None:
        """Print what is being done."""

    @abc.abstractmethod
    def line(self, text: str, **fields: Any) -> None:
        """Print *text* for people, or *fields* for programs."""

    def error(self, error: BaseException) -> None:
        """Complain about *error*."""
        self.complain(str(error) or type(error).__name__)

    def complain(self, text: str) -> None:
        """Print one line to the complaints."""
        self.note(printable(f"telephony: {text}"))

    def note(self, text: str) -> None:
        """Print lines beside the output: a complaint, or what is logged."""
        try:
            print("\n".join(map(printable, text.split("\n"))), file=self._err, flush=True)
        except OSError:
            _abandon(self._err)  # nobody to tell
        except ValueError:
            pass  # it is closed

    def environment(self, variables: Mapping[str, str]) -> None:
        """Print variables for a shell to read, whoever reads them."""
        self.verbatim("\n".join(f"export {n}={shlex.quote(v)}" for n, v in variables.items()))

    def verbatim(self, text: str) -> None:
        """Print what a shell is to read, whoever reads it."""
        self._write(text)

    # --- what a view that changes in place has beside that --------------------------------------

    def watch(self, client: Client) -> None:
        """Show the calls of *client* from now on, where they can be shown."""

    def waiting(self, what: str) -> ContextManager[None]:
        """Show that *what* is being waited for while inside, where it can be shown."""
        return contextlib.nullcontext()

    def held(self) -> None:
        """Say that an interruption waits for a call to be hung up. In a signal handler."""
        if not self.broken:
            with contextlib.suppress(OSError):  # not a stream: it may be in use by what this hit
                os.write(2, f"telephony: {HELD}\n".encode())

    def obeys(self, number: int) -> bool:
        """Whether signal *number* is to interrupt. In a signal handler.

        That the terminal is gone is told by a SIGHUP and by what cannot be printed, in any order:
        that is no second interruption, which would keep a first one from hanging up.
        """
        own = self._own and number == signal.SIGINT
        if own:
            self._own = False
        gone = own or number == getattr(signal, "SIGHUP", None)
        obeyed = not (gone and self.ending)
        self.ending = True
        return obeyed

    # --- how it is said ----------------------------------------------------------------------

    def _encodable(self, text: str) -> str:
        """*text* with what the output cannot hold written as escapes."""
        encoding = self._out.encoding or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)

    def _write(self, text: str) -> None:
        text = self._encodable(text)
        with self._lock:
            if self.broken:
                return
            try:
                self._out.write(f"{text}\n")
                self._out.flush()
                return
            except OSError as error:
                self._give_up()
                failure = error
        if not isinstance(failure, BrokenPipeError):
            self.complain(f"cannot write to the standard output: {failure.strerror or failure}")
        self._interrupt()

    def _interrupt(self) -> None:
        """Have the main thread end, unless it does."""
        if not self.ending and not self._own:
            self._own = True
            interrupt_main()

    def _give_up(self) -> None:
        """Nothing can be written any more."""
        _abandon(self._out)
        self.broken = True


def _abandon(stream: TextIO) -> None:
    """What the stream still holds is flushed at exit, and must not fail there."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def interrupt_main() -> None:
    """Have the main thread be interrupted, as by Ctrl-C."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)  # wakes it from its waiting, too
    else:
        _thread.interrupt_main()


def printable(text: str) -> str:
    """*text* without what a terminal would take for commands: numbers come from strangers."""
    return "".join(c if c.isprintable() else "?" for c in text)


@attrs.frozen
class Told:
    """What an event tells: the snapshot of its call, if it is about one, and its own fields."""

    info: CallInfo | None
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, event: Event) -> Told:
        info = getattr(event, "info", None)
        call: Call | None = getattr(event, "call", None)
        if info is None and call is not None:
            info = call.info
        fields = {n: getattr(event, n) for n in _EXTRAS if getattr(event, n, None) is not None}
        error = getattr(event, "error", None)
        if error is not None:
            fields["error"] = str(error)
        stale = getattr(event, "stale_calls", None)
        if stale is not None:
            fields["stale_calls"] = [call.call_id for call in stale]
        if isinstance(event, UnknownEvent):
            fields["raw"] = redact(dict(event.raw))
        return cls(info, fields)
