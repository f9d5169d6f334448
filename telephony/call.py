"""The live handle of one call: its newest state, its commands, its waits."""

from __future__ import annotations

import logging
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Mapping, TypeVar, overload

from telephony.errors import (
    CallNotFoundError,
    NotConnectedError,
    TelephonyError,
    WaitTimeoutError,
)
from telephony.handlers import Registration
from telephony.protocol.calls import CLOSING, CallInfo
from telephony.protocol.events import Event
from telephony.protocol.states import HANGUP, CallState
from telephony.protocol.wire import shown
from telephony.runtime.deadline import Deadline
from telephony.waits import HANGUP_SECONDS, AwaitedCall

if TYPE_CHECKING:
    from telephony.client import Client

log = logging.getLogger("telephony")

E = TypeVar("E", bound=Event)
R = TypeVar("R")


class Call(AwaitedCall):
    """One phone call; the same object for the dial, its events and ``client.call()``.

    Thread-safe. Its attributes read the newest snapshot; ``info`` is that snapshot, which
    never changes once taken. Use it as a context manager to hang up on leaving::

        with client.dial(...) as call:
            call.wait_answered(timeout=30)
    """

    __slots__ = ("_client", "_registrations", "_claimed", "__weakref__")

    def __init__(self, client: Client, info: CallInfo) -> None:
        super().__init__(info)
        self._client = client
        self._registrations: list[Registration] = []
        self._claimed = False  # an accept or a reject of it was begun

    # --- the newest snapshot ---------------------------------------------------------------

    @property
    def call_id(self) -> str:
        """The Call Manager's id; ``""`` while a dial has not been answered."""
        return self.info.call_id

    @property
    def state(self) -> CallState:
        """Where the call is in its life."""
        return self.info.state

    @property
    def direction(self) -> str:
        """``inbound``, ``outbound`` or ``outbound_sip``."""
        return self.info.direction

    @property
    def from_(self) -> str:
        """The number that calls."""
        return self.info.from_

    @property
    def to(self) -> str:
        """The number that is called."""
        return self.info.to

    @property
    def channel(self) -> str:
        """The channel of its audio."""
        return self.info.channel

    @property
    def uid(self) -> str:
        """The uid of its audio in the channel."""
        return self.info.uid

    @property
    def app_id(self) -> str:
        """The App ID it is for."""
        return self.info.app_id

    @property
    def video(self) -> bool:
        """Whether it has video."""
        return self.info.video

    @property
    def created_at(self) -> datetime | None:
        """When it began (aware, UTC), or None."""
        return self.info.created_at

    @property
    def answered_at(self) -> datetime | None:
        """When it was answered (aware, UTC), or None."""
        return self.info.answered_at

    @property
    def ended_at(self) -> datetime | None:
        """When it ended (aware, UTC), or None."""
        return self.info.ended_at

    @property
    def hangup_cause(self) -> str | None:
        """``NORMAL_CLEARING``, ``USER_BUSY`` …; None until the call's ``call_hangup`` came."""
        return self.info.hangup_cause

    @property
    def duration(self) -> int | None:
        """Seconds from start to end, None until then."""
        return self.info.duration

    @property
    def billsec(self) -> int | None:
        """Seconds from answer to end, None until then."""
        return self.info.billsec

    @property
    def sip_disposition(self) -> str | None:
        """``recv_bye``, ``send_bye`` …; None until the end."""
        return self.info.sip_disposition

    @property
    def sip_headers(self) -> Mapping[str, str]:
        """The SIP headers it came with, read-only."""
        return self.info.sip_headers

    @property
    def stale(self) -> bool:
        """There was an outage, and nothing has been heard of the call since."""
        return self.info.stale

    @property
    def active(self) -> bool:
        """The call may be up, as far as this client knows."""
        return self.info.active

    def __repr__(self) -> str:
        info = self.info
        number = shown(info.from_ if info.direction == "inbound" else info.to)
        return f"<Call {info.call_id or '(no id yet)'} {info.direction} {number} {info.state}>"

    # --- commands: Client's, without the first argument --------------------------------------

    def accept(
        self,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        webhook_url: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        video: bool = False,
        command_timeout: float | None = None,
    ) -> None:
        """Answer the incoming call, its audio in *channel* as *uid*; see ``Client.accept``."""
        self._client.accept(
            self,
            token=token,
            channel=channel,
            uid=uid,
            app_id=app_id,
            webhook_url=webhook_url,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            video=video,
            command_timeout=command_timeout,
        )

    def reject(self, reason: str = "", *, command_timeout: float | None = None) -> None:
        """Refuse the incoming call; see ``Client.reject``."""
        self._client.reject(self, reason, command_timeout=command_timeout)

    def hangup(self, *, command_timeout: float | None = None) -> None:
        """End the call, unless it is known to have ended; see ``Client.hangup``."""
        if self.info.state is not HANGUP:
            self._client.hangup(self, command_timeout=command_timeout)

    def send_dtmf(self, digits: str, *, command_timeout: float | None = None) -> None:
        """Send *digits* to the far end; see ``Client.send_dtmf``."""
        self._client.send_dtmf(self, digits, command_timeout=command_timeout)

    def bridge(
        self,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        video: bool = False,
        command_timeout: float | None = None,
    ) -> None:
        """Join the audio to *channel* as *uid*; see ``Client.bridge``."""
        self._client.bridge(
            self,
            token=token,
            channel=channel,
            uid=uid,
            app_id=app_id,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            video=video,
            command_timeout=command_timeout,
        )

    def unbridge(self, *, command_timeout: float | None = None) -> None:
        """Take the audio out of its channel; see ``Client.unbridge``."""
        self._client.unbridge(self, command_timeout=command_timeout)

    def rebridge(
        self,
        *,
        token: str | None = None,
        channel: str,
        uid: str | int,
        app_id: str | None = None,
        sdk_options: str | Mapping[str, Any] | None = None,
        audio_scenario: str | int | None = None,
        command_timeout: float | None = None,
    ) -> None:
        """Move the audio to another channel; see ``Client.rebridge``."""
        self._client.rebridge(
            self,
            token=token,
            channel=channel,
            uid=uid,
            app_id=app_id,
            sdk_options=sdk_options,
            audio_scenario=audio_scenario,
            command_timeout=command_timeout,
        )

    def transfer(
        self, destination: str, leg: str | None = None, *, command_timeout: float | None = None
    ) -> None:
        """Hand a leg to *destination*; see ``Client.transfer``."""
        self._client.transfer(self, destination, leg, command_timeout=command_timeout)

    # --- callbacks -------------------------------------------------------------------------

    @overload
    def on(
        self, event_type: type[E], fn: None = None
    ) -> Callable[[Callable[[E], R]], Callable[[Any], R]]: ...  # so that they can be stacked

    @overload
    def on(self, event_type: type[E], fn: Callable[[E], R]) -> Callable[[E], R]: ...

    def on(self, event_type: type[E], fn: Callable[[E], Any] | None = None) -> Any:
        """Call *fn* with each event of this type of this call; returns *fn*. Or a decorator.

        See ``Client.on`` for where and in which order callbacks run. What came before is not told
        again. Raises ``InvalidArgumentError`` for what is no event class or no function.
        """
        if fn is None:

            def register(fn: Callable[[E], R]) -> Callable[[Any], R]:
                return self.on(event_type, fn)

            return register
        self._registrations.append(Registration.make(event_type, fn, {}))
        return fn

    # --- as a context manager ----------------------------------------------------------------

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up if the call is still up, and wait (5 s at most) for its ``call_hangup``.

        While the connection is being made again, that is waited for, at most
        ``command_timeout`` seconds: a call must not stay up for want of one.
        """
        try:
            if self.info.active:
                self._hang_up_surely()
            if self._place is CLOSING:
                self.wait_ended(HANGUP_SECONDS)
        except WaitTimeoutError:
            pass
        except TelephonyError as failure:
            if kind is None:
                raise
            log.error("call %s could not be hung up: %s", self.call_id, failure)

    def _client_closed(self) -> bool:
        return self._client.closed

    def _check_process(self) -> None:
        self._client._check_process()

    def _hang_up_surely(self) -> None:
        deadline = Deadline(self._client.options.command_timeout)
        while True:
            try:
                self.hangup(command_timeout=max(0.001, deadline.remaining() or 0.0))
            except CallNotFoundError:
                return  # it ended by itself
            except NotConnectedError:
                if not self._client.wait_connected(deadline.remaining()):
                    raise
            else:
                return
