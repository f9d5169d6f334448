"""What the clients sent and what became of their calls, to look at, assert and wait for."""

from __future__ import annotations

from typing import Any, Collection, Iterable

from telephony.errors import InvalidArgumentError
from telephony.sandbox.calls import CallRecord
from telephony.sandbox.commands import KNOWN_FIELDS, SPECS
from telephony.sandbox.controls import Controls
from telephony.sandbox.journal import Journal
from telephony.sandbox.words import Wanted, command

_HANGUPS = ("endcall", "hangup")


class Assertions(Controls):
    """What tests ask of a sandbox afterwards, over all that has come so far.

    Fields are given by name, in Python's spelling (``from_``, ``call_id``, ``app_id``) or the
    wire's. Phone numbers compare by their digits, a call stands for its id, None for a field that
    was left out. What fails is an AssertionError that shows what was sent instead, secrets masked.
    """

    _journal: Journal

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What the clients sent, in order of arrival, registrations included."""
        return self._journal.frames()

    @property
    def calls(self) -> list[CallRecord]:
        """All calls, oldest first, as they are now; ended ones too, the last 10,000 of them."""
        switch = self._server().switch
        records: list[CallRecord] = self.run(lambda: [leg.record() for leg in switch.legs()])
        return records

    def assert_dialed(self, *, times: int | None = None, **fields: Any) -> dict[str, Any]:
        """Assert that a client has dialled, with these fields: ``assert_dialed(to="+1800…")``.

        *times* is how often exactly; None: once or more. Returns the last such frame (``{}``
        after ``times=0``). Waits for nothing: to wait, see `wait_for_command`.
        """
        __tracebackhide__ = True
        return self.assert_sent("outbound", times=times, **fields)

    def assert_not_dialed(self, **fields: Any) -> None:
        """Assert that no client has dialled, or none with these fields."""
        __tracebackhide__ = True
        self.assert_not_sent("outbound", **fields)

    def assert_sent(
        self, action: str, *, times: int | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Assert that a client has sent the command *action* (``"accept"``), with these fields.

        *times* and what is returned are as with `assert_dialed`. A command counts when it came,
        whether it was taken or refused.
        """
        __tracebackhide__ = True
        wanted, frames = Wanted.of(action, fields), self._journal.frames()
        found = [frame for frame in frames if wanted.fits(frame)]
        if len(found) if times is None else len(found) == times:
            return found[-1] if found else {}
        often = "" if times is None else f" {_times(times)}, but {_times(len(found))}"
        verb = "no client sent" if times is None else "the clients did not send"
        raise AssertionError(f"{verb} {wanted}{often}\n{wanted.nearest(frames)}")

    def assert_not_sent(self, action: str, **fields: Any) -> None:
        """Assert that no client has sent the command *action*, or none with these fields.

        Raises `InvalidArgumentError` for an action or a field that no command has: nobody would
        ever send it, and this would never fail.
        """
        __tracebackhide__ = True
        wanted = Wanted.of(action, fields)
        _check_exists("action", [action], [*SPECS, "register"])
        _check_exists("field", wanted.fields, KNOWN_FIELDS)
        found = [frame for frame in self._journal.frames() if wanted.fits(frame)]
        if found:
            lines = [f"  {command(frame['action'], frame)}" for frame in found]
            raise AssertionError(
                "\n".join([f"a client sent {wanted}, {_times(len(found))}:", *lines])
            )

    def assert_hung_up(self, call: Any) -> None:
        """Assert that *call* has ended because a client hung up.

        *call* is a `telephony.Call`, a far end, or a call id. A call that the other side ended,
        that was rejected or is still up fails.
        """
        __tracebackhide__ = True
        call_id = getattr(call, "call_id", call)
        record = next((one for one in self.calls if one.call_id == call_id), None)
        if record is None:
            raise AssertionError(f"the sandbox knows no call {call_id!r}")
        if record.ended_by in _HANGUPS:
            return
        how = f"is still {record.state}"
        if record.ended:
            how = f"was ended by {record.ended_by}, with {record.hangup_cause}"
        about = [f for f in self._journal.frames() if f.get("callid") == call_id]
        lines = [f"  {command(frame.get('action'), frame)}" for frame in about]
        sent = ["sent for this call:", *lines] if lines else ["nothing was sent for this call"]
        raise AssertionError("\n".join([f"call {call_id} was not hung up: it {how}", *sent]))

    def wait_for_command(
        self, action: str, timeout: float | None = 10.0, **fields: Any
    ) -> dict[str, Any]:
        """Wait for a command *action*, with these fields, and return its frame.

        One that has come already counts, but each is returned once: ask twice to wait for two.
        ``timeout`` is in real seconds, None for ever; raises `WaitTimeoutError`, which says what
        came instead.
        """
        __tracebackhide__ = True
        return self._journal.wait(Wanted.of(action, fields), timeout)


def _check_exists(what: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise InvalidArgumentError(
                f"{what}: no command has {name!r}; there are {', '.join(sorted(known))}"
            )


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")
