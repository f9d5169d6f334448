"""The controls on a sandbox's outside: how its users' threads reach into its own."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any, Callable

from telephony.errors import InvalidArgumentError, TelephonyError
from telephony.sandbox.faults import Faults, Refusal
from telephony.sandbox.hosting import Hosted

if TYPE_CHECKING:
    from telephony.sandbox.server import Server


class SandboxNotRunningError(TelephonyError, RuntimeError):
    """The sandbox was asked for something it can only do while it runs."""


class Controls(Hosted["Server"]):
    """What runs things on the sandbox's thread, while it has one."""

    def run(self, step: Callable[..., Any], *args: Any) -> Any:
        """Run ``step`` on the sandbox's thread, and return what it returns."""
        running = self._running
        if running is None:
            raise SandboxNotRunningError("the sandbox does not run: use `with`, or start()")
        if running.is_current():
            return step(*args)
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def take() -> None:
            try:
                done.set_result(step(*args))
            except BaseException as error:
                done.set_exception(error)

        try:
            running.loop.call_soon_threadsafe(take)
            return done.result(timeout=30)
        except (RuntimeError, concurrent.futures.TimeoutError) as error:
            if done.done():
                raise
            raise SandboxNotRunningError("the sandbox was stopped meanwhile") from error

    def _server(self) -> Server:
        running = self._running
        if running is None:
            raise SandboxNotRunningError("the sandbox does not run: use `with`, or start()")
        return running.server


class FaultControls(Controls):
    """How a sandbox is told to misbehave. Faults can be set before it starts, and last."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def drop_connections(self) -> None:
        """Reset every WebSocket's TCP connection now."""
        self.run(self._server().registry.abort_all)

    def silence(self, on: bool = True) -> None:
        """Send nothing on the WebSockets any more, pongs included, and keep them open.

        What would have been sent in the silence is lost. Whoever connects meanwhile waits.
        """
        running = self._running
        if running is None:
            self._faults.silent = on
        else:
            self.run(running.server.silence, on)

    def refuse(
        self,
        reason: str,
        *,
        action: str | None = None,
        times: int = 1,
        form: str = "error",
        status_code: int = 404,
    ) -> None:
        """Refuse the next registration or command, or the next with this ``action``.

        ``form`` is ``"error"`` (``{"error": reason}``), ``"data"`` (``success`` false, with the
        reason) or ``"status"`` (``status_code``, or for a registration another ``status``).
        """
        if not isinstance(times, int) or times < 1:
            raise InvalidArgumentError(f"times must be 1 or more, not {times!r}")
        refusal = Refusal(reason, form, status_code)
        self._disturb(self._faults.refuse, refusal, action, times)

    def send(self, frame: dict[str, Any] | str, *, client_id: str | None = None) -> None:
        """Send a frame, or text that need not be one, as it is to all clients or to one."""
        self.run(self._server().registry.send, frame, client_id)

    def fail_rebridge(self, reason: str = "join failed: timeout", *, times: int = 1) -> None:
        """Let the next re-bridge fail to join: refused so, then ``agora_bridge_failed``."""
        self._disturb(self._faults.fail_joins, reason, times)

    def delay(self, seconds: float, action: str | None = None) -> None:
        """Hold back every response, or those to ``action``, for real seconds; 0 ends it."""
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise InvalidArgumentError(f"seconds must be 0 or more, not {seconds!r}")
        self._disturb(self._faults.set_delay, seconds, action)

    def duplicate(self, on: bool = True) -> None:
        """Send every event twice."""
        self._disturb(setattr, self._faults, "duplicate", on)

    def reorder(self, seed: int | None = None, on: bool = True) -> None:
        """Shuffle events that come within 50 ms of one another, the same way for one seed."""
        self._disturb(self._faults.set_reorder, seed, on)

    def clear_faults(self) -> None:
        """Behave again: no silence, refusals, delays, duplicates, shuffling, failed joins."""
        self.silence(False)
        self._disturb(self._faults.clear)

    def _disturb(self, step: Callable[..., None], *args: Any) -> None:
        """Change the faults where they are read, or right here while nobody reads them."""
        if self._running is None:
            step(*args)
        else:
            self.run(step, *args)
