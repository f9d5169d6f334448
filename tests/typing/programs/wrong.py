"""What is wrong here must be said: each mark names what mypy and what pyright call it."""

from __future__ import annotations

import telephony
from telephony import (
    Call,
    CallHangup,
    CallIncoming,
    CallInfo,
    CallState,
    Client,
    DtmfReceived,
    Health,
)
from telephony.sandbox import Sandbox

telephony.Klient  # error: attr-defined reportAttributeAccessIssue

HOST, TOKEN, APP = "wss://sipcm.example", "Basic …", "APPID"

# Options: their names and types, wherever they are taken.
Client(HOST, TOKEN, None, APP, worker=4)  # error: arg-type reportArgumentType
Client(HOST, TOKEN, None, APP, workers="4")  # error: arg-type reportArgumentType
Client(HOST, TOKEN, None)  # error: call-arg reportCallIssue
Client(HOST, TOKEN, None, APP, [])  # error: call-arg reportCallIssue
Client(HOST, TOKEN, None, APP, orphan_policy="drop")  # error: arg-type reportArgumentType
Client(HOST, TOKEN, None, APP, token_provider=len)  # error: arg-type reportArgumentType
Client(HOST, TOKEN, None, APP, callback_context=open)  # error: arg-type reportArgumentType
Client.from_env(worker=4)  # error: call-arg reportCallIssue
Client.from_env(workers="4")  # error: arg-type reportArgumentType
Client.from_env(proxy=True)  # error: arg-type reportArgumentType
Sandbox().client(worker=4)  # error: call-arg reportCallIssue
Sandbox().client(workers="4")  # error: arg-type reportArgumentType
Sandbox(time_scale="fast")  # error: arg-type reportArgumentType
Sandbox(dtmf_echo="half")  # error: arg-type reportArgumentType
Sandbox().script_dial("asleep")  # error: arg-type reportArgumentType
Sandbox().peer(7)  # error: arg-type reportArgumentType
Sandbox().press("1")  # error: attr-defined reportAttributeAccessIssue

client = Client.from_env()


# Callbacks: the event, and what it is filtered by.
@client.on(CallIncoming)  # error: arg-type reportArgumentType
def other(event: CallHangup) -> None: ...


@client.on(CallIncoming)
def answer(event: CallIncoming) -> None:
    event.digits  # error: attr-defined reportAttributeAccessIssue
    event.call = event.call  # error: misc reportAttributeAccessIssue


@client.on(CallIncoming)  # error: arg-type reportArgumentType
def without() -> None: ...


def key(event: DtmfReceived) -> None: ...


client.on(CallIncoming, key)  # error: arg-type reportCallIssue,reportArgumentType
client.on("call_incoming", key)  # error: call-overload reportCallIssue,reportArgumentType
client.on(CallInfo, print)  # error: type-var reportCallIssue,reportArgumentType
client.on(CallIncoming, answer, too="+1800")  # error: call-overload reportCallIssue
client.on(CallIncoming, answer, video="")  # error: call-overload reportCallIssue,reportArgumentType
client.on(DtmfReceived, lambda e: bool(e.digit))  # error: attr-defined reportAttributeAccessIssue

# Commands: what they take, and what they give.
client.dial(to="…", from_="…", channel="room", uid="1")  # error: call-arg reportCallIssue
client.hang_up("id")  # error: attr-defined reportAttributeAccessIssue
client.call(7)  # error: arg-type reportArgumentType
client.call("id").hangup()  # error: union-attr reportOptionalMemberAccess
client.accept("id", "room", uid="1")  # error: call-arg reportCallIssue
client.accept("id", channel="room", uid=1.5)  # error: arg-type reportArgumentType
client.subscribe(18005550100)  # error: arg-type reportArgumentType


def read(call: Call, health: Health) -> None:
    call.state = CallState.HANGUP  # error: misc reportAttributeAccessIssue
    call.info.state = CallState.HANGUP  # error: misc reportAttributeAccessIssue
    health.connected = True  # error: misc reportAttributeAccessIssue
    call.wait_answerd()  # error: attr-defined reportAttributeAccessIssue
    call.wait_answered(timeout="30")  # error: arg-type reportArgumentType
    call.wait_answered().wait_ended()  # error: attr-defined reportAttributeAccessIssue
    call.wait_for(7)  # error: arg-type reportArgumentType
    seconds: int = call.billsec  # error: assignment reportAssignmentType
    digits: int = call.collect_digits(max_digits=4)  # error: assignment reportAssignmentType
    call.on(CallIncoming, key)  # error: arg-type reportCallIssue,reportArgumentType
    call.on(DtmfReceived, key, echo=False)  # error: call-overload reportCallIssue
    print(seconds, digits, CallState.RUNNING)  # error: attr-defined reportAttributeAccessIssue
