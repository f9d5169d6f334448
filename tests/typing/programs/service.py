# pyright: strict
"""A service: each callback gets the event that it was registered for."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Generator, Mapping

from typing_extensions import assert_type

from telephony import (
    BridgeFailed,
    BridgeStarted,
    Call,
    CallAnswered,
    CallEvent,
    CallHangup,
    CallIncoming,
    CallInfo,
    CallOrphaned,
    CallState,
    Client,
    Connected,
    Disconnected,
    DtmfReceived,
    ErrorOccurred,
    Event,
    EventHandler,
    Gap,
    TelephonyError,
    UnknownEvent,
)
from telephony.hooks import Hooks


@contextlib.contextmanager
def application() -> Generator[int, None, None]:
    yield 1


client = Client.from_env(callback_context=application, hooks=Hooks())


@client.on(CallIncoming, to="+18005550100", video=False)
def answer(event: CallIncoming) -> bool:
    assert_type(event.call, Call)
    assert_type(event.info, CallInfo)
    event.call.accept(token="…", channel="support", uid="200")
    assert_type(event.call.wait_answered(timeout=10), CallInfo)
    event.call.on(DtmfReceived, key)
    return True


@client.on(DtmfReceived, echo=False, state=CallState.BRIDGED)
def key(event: DtmfReceived) -> None:
    assert_type((event.digits, event.echo), "tuple[str, bool]")


@client.on(CallAnswered, app_id="APPID")
@client.on(CallHangup)
def either(event: CallEvent) -> None:
    assert_type(event.call.on(CallAnswered, answered), Callable[[CallAnswered], int])


def answered(event: CallAnswered) -> int:
    return len(event.call.call_id)


def anything(event: Event) -> None:
    assert_type(event.name, str)
    assert_type(event.timestamp, "float | int | None")
    assert_type(event.raw, Mapping[str, Any])
    if isinstance(event, CallHangup):
        assert_type((event.hangup_cause, event.sip_disposition), "tuple[str | None, str | None]")
        assert_type((event.duration, event.billsec), "tuple[int | None, int | None]")
    elif isinstance(event, BridgeFailed):
        assert_type(event.reason, str)
    elif isinstance(event, UnknownEvent):
        assert_type(event.call, "Call | None")
        assert_type(event.info, "CallInfo | None")


def connection(event: Connected | Disconnected | Gap | CallOrphaned | ErrorOccurred) -> None:
    if isinstance(event, Connected):
        assert_type((event.session_id, event.reconnected), "tuple[str, bool]")
    elif isinstance(event, Disconnected):
        assert_type(event.error, "TelephonyError | None")
    elif isinstance(event, Gap):
        assert_type((event.seconds, event.stale_calls), "tuple[float, tuple[Call, ...]]")
    elif isinstance(event, CallOrphaned):
        assert_type(event.call, Call)
    else:
        assert_type(event.error, BaseException)


client.on(Connected, lambda event: print(event.session_id))  # its event is known too
client.on(Gap, connection)
assert_type(client.on(BridgeStarted, either), Callable[[BridgeStarted], None])
client.on(Event, anything)
client.off(anything)


class Desk(EventHandler):
    def on_call_incoming(self, call: Call) -> bool:
        return call.from_ != ""

    def on_dtmf_received(self, call: Call, digits: str) -> None:
        call.send_dtmf(digits)


client.set_handler(Desk())
client.set_handler(None)
