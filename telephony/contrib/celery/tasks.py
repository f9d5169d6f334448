"""The commands, as Celery tasks.

A command for a call goes to the queue of the line that has it; its worker looks once more, and
passes it on if the line is another's by now. Each runs at most once: it is acknowledged before it
is begun, never retried, and remembered in Redis by its id, so that a message that is delivered
again does nothing.
"""

from __future__ import annotations

import inspect
import logging
import secrets
import weakref
from datetime import datetime, timedelta
from typing import Any, Mapping

from celery import Task, shared_task
from celery.exceptions import Ignore
from celery.utils.time import maybe_iso8601
from kombu.exceptions import OperationalError

from telephony.client import Client
from telephony.contrib.celery.failures import not_found, portable
from telephony.contrib.celery.journal import queue_for
from telephony.contrib.celery.line import Line
from telephony.contrib.celery.shared import shared_of
from telephony.contrib.celery.snapshot import Snapshot, masked_arguments, snapshot_of
from telephony.contrib.celery.store import reached
from telephony.errors import ConnectionLostError, NotConnectedError, TelephonyError
from telephony.protocol.commands import checked_text

log = logging.getLogger("telephony")

#: A command is passed on so often at most: more means that nobody holds the line for long.
HOPS_MOST = 5
_HOPS = "telephony_hops"


#: The lines of this process, of each app whose worker it is.
switchboards: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


class Command(Task):  # type: ignore[misc]
    """What all commands have in common: above all that none of them is carried out twice."""

    abstract = True
    acks_late = False
    reject_on_worker_lost = False
    retry_on_worker_lost = False
    max_retries = 0
    autoretry_for = ()
    track_started = False  # Celery would keep the arguments as they are
    throws = (TelephonyError,)
    Request = "telephony.contrib.celery.received:Received"

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        **options: Any,
    ) -> Any:
        """Send the command.

        Raises ``CallNotFoundError`` for a call that no line has, ``NotConnectedError`` without
        Redis, and ``ConnectionLostError`` if the broker does not say that it has the command.
        """
        app = self._get_app()
        shared = shared_of(app)
        settings = shared.settings
        named = dict(kwargs or {})
        if options.get("expires") is None:
            options["expires"] = _end_of(settings.command_expires, options)
        options["argsrepr"] = repr(masked_arguments(list(args or ())))
        options["kwargsrepr"] = repr(masked_arguments(named))
        if "queue" not in options and "exchange" not in options:
            if self.name == "telephony.dial":
                reached("dial was not sent", shared.store.redis.ping)  # it cannot begin without
                options["queue"] = settings.queue
            else:
                call_id = checked_text("call_id", args[0] if args else named.get("call_id"))
                options["queue"] = queue_for(settings, self._line_of(shared, call_id))
        try:
            return super().apply_async(args, kwargs, **options)
        except OperationalError as error:
            action = self.name.rpartition(".")[2]
            raise portable(
                ConnectionLostError(
                    f"the broker does not answer ({type(error).__name__}): {action} may have been "
                    "sent, and is not sent again",
                    action=action,
                )
            ) from None

    def _line_of(self, shared: Any, call_id: str) -> str:
        action = self.name.rpartition(".")[2]
        record = reached(f"{action} was not sent", lambda: shared.store.call(call_id))
        if record is None:
            raise not_found(action, call_id, "no worker knows the call")
        if record.ended:
            raise not_found(action, call_id, "the call has ended")
        line: str = record.line
        return line

    def send(self, call_id: str, arguments: Mapping[str, Any]) -> None:
        """Carry the command out on the line that has the call; the body of every task but dial."""
        action = self.name.rpartition(".")[2]
        self._begin()
        try:
            given = {name: value for name, value in arguments.items() if value is not None}
            holder = _switchboard(self, action)
            name = self._line_of(shared_of(self.app), checked_text("call_id", call_id))
            line = holder.line(name)
            if line is None:
                self._pass_on(name, call_id, arguments)
            elif not line.command(action, call_id, self._task_id(), _execution(), given):
                raise Ignore
        except TelephonyError as error:
            raise portable(error) from None

    def place(self, arguments: dict[str, Any]) -> Snapshot:
        """Place a call on this worker's own line; the body of dial."""
        self._begin()
        try:
            line: Line = _switchboard(self, "dial").own_line()
            info = line.dial(self._task_id(), _execution(), arguments)
        except TelephonyError as error:
            raise portable(error) from None
        if info is None:
            raise Ignore
        return snapshot_of(info)

    def _pass_on(self, name: str, call_id: str, arguments: Mapping[str, Any]) -> None:
        """Send the command, as it came, to the queue of the line that has the call."""
        hops = int((self.request.headers or {}).get(_HOPS, 0))
        if hops >= HOPS_MOST or self.request.called_directly:
            raise NotConnectedError(
                f"line {name}, which has call {call_id}, is not held here: nothing was sent"
            )
        options = {
            **self.request.as_execution_options(),
            "queue": queue_for(shared_of(self.app).settings, name),
            "headers": {_HOPS: hops + 1},
        }
        if hops:
            options["countdown"] = 0.2 * hops
        self.apply_async((), {"call_id": call_id, **arguments}, **options)
        raise Ignore

    def _task_id(self) -> str:
        """The task's id; a task that is called like a function gets one too."""
        return self.request.id or secrets.token_hex(16)

    def _begin(self) -> None:
        """Look once more whether it is not too late, and hide the secrets of the arguments.

        Celery has looked when it gave the task to its pool, where it may have waited since. From
        here on only what may be shown is known of the arguments (``result_extended``).
        """
        request = self.request
        request.args = masked_arguments(list(request.args or ()))
        request.kwargs = masked_arguments(dict(request.kwargs or {}))
        expires = maybe_iso8601(request.expires)
        if expires is None and not (request.called_directly or request.is_eager):
            action = self.name.rpartition(".")[2]
            raise portable(
                NotConnectedError(
                    f"{action} was not sent: the message says no time after which it is too late; "
                    f"send it with {action}.delay or {action}.apply_async, not by its name"
                )
            )
        if expires is not None and datetime.now(expires.tzinfo) >= expires:
            log.warning("%s was not sent: its time was over", self.name)
            self.backend.mark_as_revoked(request.id, "expired", request=request)
            raise Ignore


def _end_of(seconds: float, options: Mapping[str, Any]) -> Any:
    """When a command that nobody took is too late: so many seconds after it is to be sent."""
    eta = maybe_iso8601(options.get("eta"))
    if eta is not None:
        return eta + timedelta(seconds=seconds)
    return seconds + (options.get("countdown") or 0)


def _execution() -> str:
    """What tells one execution of a task from another."""
    return secrets.token_hex(8)


def _switchboard(task: Command, action: str) -> Any:
    found = switchboards.get(task.app)
    if found is None:
        raise NotConnectedError(
            f"{action} was not sent: this is no worker that consumes "
            f"{shared_of(task.app).settings.queue}, or its app was not given to Telephony"
        )
    return found


def _command(name: str, result: str) -> Any:
    """The task of the command *name* of ``Client``, with that method's arguments."""
    method = getattr(Client, name)
    signature = inspect.signature(method)

    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind(self, *args, **kwargs).arguments
        del given["self"]
        if name == "dial":
            return self.place(given)
        return self.send(given.pop("call_id"), given)

    run.__name__ = run.__qualname__ = name
    run.__signature__ = signature  # type: ignore[attr-defined]  # which Celery checks
    begins = inspect.cleandoc(method.__doc__ or "").partition("\n")[0]
    run.__doc__ = f"{begins}\n\nThe arguments are those of ``Client.{name}``. {result}"
    return shared_task(name=f"telephony.{name}", bind=True, base=Command, shared=True)(run)


_TAKEN = "Its result is None, once the CM has taken it."

dial = _command(
    "dial",
    "It is placed by whichever worker takes it. Its result is the call's snapshot, a dict with "
    "``call_id``, once the CM has answered.",
)
hangup = _command("hangup", _TAKEN)
send_dtmf = _command("send_dtmf", _TAKEN)
accept = _command("accept", _TAKEN)
reject = _command("reject", _TAKEN)
bridge = _command("bridge", _TAKEN)
unbridge = _command("unbridge", _TAKEN)
rebridge = _command("rebridge", _TAKEN)
transfer = _command("transfer", _TAKEN)

COMMANDS = (
    "dial", "hangup", "send_dtmf", "accept", "reject", "bridge", "unbridge", "rebridge", "transfer"
)
#: What no configuration may change of them.
GUARDED: Mapping[str, Any] = {
    name: getattr(Command, name)
    for name in (
        "acks_late", "reject_on_worker_lost", "retry_on_worker_lost", "max_retries",
        "autoretry_for", "track_started",
    )
}
