"""What each command does. Each gets its arguments and an output, and returns its exit code."""

from __future__ import annotations

import argparse
import base64
import contextlib
import itertools
import os
import queue
import secrets
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, ContextManager, Generator, Mapping

from telephony.cli.environment import dids, required, rtc_token, setting
from telephony.cli.interruption import Patience
from telephony.cli.output import Output
from telephony.client import Client
from telephony.errors import InvalidArgumentError, TelephonyError, WaitTimeoutError
from telephony.protocol.commands import Dial, checked_text
from telephony.protocol.events import CallIncoming, Connected, ErrorOccurred, Event
from telephony.protocol.states import ConnectionState
from telephony.protocol.wire import shown

if TYPE_CHECKING:
    from telephony.testing.replay import Replay

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

#: Events that have come are still printed at the end, for so many seconds at most.
DRAIN_SECONDS = 2.0

#: The DID that ``telephony sandbox`` prints; dialling it loops back.
USUAL_DID = "+18005550100"

Command = Callable[[argparse.Namespace, Output], int]


def _demo(args: argparse.Namespace, out: Output) -> int:
    from telephony.cli.demo import run

    run(out)
    return DONE


def _check(args: argparse.Namespace, out: Output) -> int:
    from telephony.cli.check import Check

    required()
    check = Check(out, dids(args.did), timeout=args.timeout, allow_insecure=args.allow_insecure)
    return DONE if check.run() else FAILED


@contextlib.contextmanager
def _connected(
    args: argparse.Namespace, out: Output, *, hang_up: bool, **options: Any
) -> Generator[tuple[Client, queue.SimpleQueue[BaseException]], None, None]:
    """A connected client whose events are printed, and where its end is told.

    With *hang_up* every call that is up is hung up on leaving. Calls that are only watched are
    not ours to end: another client may be about to accept them.
    """
    options["allow_insecure"] = args.allow_insecure
    client = Client.from_env(**options)
    recorder: ContextManager[Any] = contextlib.nullcontext()
    if args.record is not None:
        from telephony.recording import Recorder

        recorder = Recorder(args.record)  # not sooner: a wrong option is to leave no file behind
        client = Client.from_env(hooks=recorder, **options)
    over: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    client.on(Event, out.event)
    out.watch(client)

    @client.on(ErrorOccurred)
    def give_up(event: ErrorOccurred) -> None:
        if client.state is ConnectionState.IDLE:  # it will not connect again
            over.put(event.error)
            client.close()

    said = threading.Event()
    client.on(Connected, lambda _: said.set())
    with recorder:
        try:
            with out.waiting(f"connecting to {client.options.connection.host}"):
                client.connect()
                said.wait(DRAIN_SECONDS)  # it is the first line, before those of any call
            yield client, over
        finally:
            client.close(drain=DRAIN_SECONDS, hangup_active=hang_up)


def _dial(args: argparse.Namespace, out: Output) -> int:
    to, from_ = setting("TO_NUMBER", args.to), setting("FROM_NUMBER", args.from_)
    required(TO_NUMBER=to, FROM_NUMBER=from_)
    fields: dict[str, Any] = {
        "to": to,
        "from_": from_,
        "channel": setting("CHANNEL", args.channel),
        "uid": args.uid,
        "token": rtc_token(args.app_id or os.environ["APPID"]),
        "region": setting("REGION", args.region),
        "sip": setting("SIP"),
        "app_id": args.app_id,
        "timeout": args.ring,
    }
    Dial(**fields)  # what is wrong is said before connecting
    with _connected(args, out, hang_up=True) as (client, _):
        patience = Patience(out)
        with out.waiting(f"waiting for {shown(to or '')} to answer; Ctrl-C hangs up"):
            with patience.held():
                call = client.dial(**fields)
            with call:
                patience.check()
                call.wait_answered()
                if args.digits:
                    call.send_dtmf(args.digits)
                with out.waiting("in the call; Ctrl-C hangs up"):
                    with contextlib.suppress(WaitTimeoutError):
                        call.wait_ended(args.seconds)
    cause, billed = call.hangup_cause or "hung up", call.billsec or 0
    out.line(
        f"done: {cause}, {billed} s billed",
        event="summary",
        ok=True,
        call_id=call.call_id,
        hangup_cause=call.hangup_cause,
        billsec=call.billsec,
    )
    return DONE


def _listen(args: argparse.Namespace, out: Output) -> int:
    required()
    first_uid = args.uid
    if not first_uid.isdecimal():
        raise InvalidArgumentError("uid must be a whole number: each call gets the next one")
    if args.accept is not None:
        checked_text("--accept", args.accept)
    uids = itertools.count(int(first_uid))  # two with one uid would throw each other out
    numbers = dids(args.did)
    hang_up = args.accept is not None
    with _connected(args, out, hang_up=hang_up, subscribe_numbers=numbers) as (client, over):

        @client.on(CallIncoming)
        def decide(event: CallIncoming) -> None:
            call = event.call
            try:
                if args.accept is not None:
                    token = rtc_token(call.app_id or os.environ["APPID"])
                    call.accept(token=token, channel=args.accept, uid=next(uids))
                elif args.reject is not None:
                    call.reject(args.reject)
            except TelephonyError as error:
                out.error(error)

        whose = f"for calls to {', '.join(numbers) or 'any number'}; Ctrl-C ends it"
        out.step("listen", whose)
        with out.waiting(f"listening {whose}"), contextlib.suppress(queue.Empty):
            raise over.get(timeout=args.seconds)
    return DONE


def _sandbox(args: argparse.Namespace, out: Output) -> int:
    from telephony.sandbox import Sandbox
    from telephony.sandbox.settings import is_loopback

    app_ids, by_app = _served(args.app_id or [], args.did or [])
    tokens = {app_id: _made_up_token() for app_id in app_ids} if args.own_tokens else {}
    usual: dict[str, Any] = {}
    if not is_loopback(args.host):  # others can reach it, and the usual token is public
        usual["auth_token"] = _made_up_token()
    sandbox = Sandbox(
        args.host,
        args.port,
        app_ids=app_ids,
        tokens=tokens,
        dids=by_app if args.did else None,
        loop_back=[USUAL_DID],
        lookup_hold=args.hold,
        cm_hold=max(args.hold, 30.0),
        time_scale=args.time_scale,
        dtmf_echo=args.dtmf_echo,
        **usual,
    )
    with contextlib.suppress(KeyboardInterrupt), sandbox as cm:
        variables = {"CM_HOST": cm.url, "CM_HTTP": cm.http_url}
        for number, app_id in enumerate(app_ids, 1):
            end = "" if number == 1 else f"_{number}"
            numbers = by_app[app_id] or ([] if args.did else [USUAL_DID])
            variables[f"AUTH_TOKEN{end}"] = tokens.get(app_id, cm.auth_token)
            variables[f"APPID{end}"] = app_id
            variables[f"DID{end}"] = " ".join(numbers)
            if number == 1:
                variables["TO_NUMBER"] = "+18005551234"
                variables["FROM_NUMBER"] = "+15551234567"
                variables["REGION"] = "AREA_CODE_NA"
        _say_environment(variables, "sandbox", args, out)
        threading.Event().wait()
    return DONE


def _made_up_token() -> str:
    return f"Basic {base64.b64encode(secrets.token_bytes(18)).decode()}"


def _served(app_ids: list[str], given: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The App IDs that a sandbox serves, and the DIDs of each; both as given as arguments."""
    from telephony.sandbox import DEFAULT_APP_ID

    pairs = [did.rpartition("=")[::2] for did in given]
    named = [app_id for app_id, _ in pairs if app_id]
    apps = list(dict.fromkeys([*app_ids, *named])) or [DEFAULT_APP_ID]
    return apps, {app: [n for owner, n in pairs if owner in ("", app)] for app in apps}


def _replay(args: argparse.Namespace, out: Output) -> int:
    from telephony.testing.playback import ReplayDifference
    from telephony.testing.replay import Replay

    try:
        with Replay(args.file, speed=args.speed, port=args.port) as replay:
            if args.serve:
                _say_environment(replay.environ, "replay", args, out)
                replay.wait_finished(timeout=None)
            else:
                _played(replay, out)
            sent = len(replay.frames)
    except (ReplayDifference, WaitTimeoutError) as error:
        out.error(error)
        return FAILED
    out.line(
        f"done: played to its end, {sent} frames sent by the client",
        event="summary",
        ok=True,
        sent=sent,
    )
    return DONE


def _played(replay: Replay, out: Output) -> None:
    """Play a recording to a client that does what the recorded one did."""
    client = replay.client()
    client.on(Event, out.event)
    out.watch(client)
    try:
        with out.waiting("playing; Ctrl-C ends it"):
            replay.drive(client)
            replay.wait_finished()
    finally:
        client.close(drain=DRAIN_SECONDS)


def _say_environment(
    variables: Mapping[str, str], event: str, args: argparse.Namespace, out: Output
) -> None:
    """Print what a client needs to come here: for a shell, piped too, unless JSON is asked for."""
    if args.json:
        out.line("", event=event, **variables)
    else:
        out.environment(variables)
    if sys.stderr.isatty():
        print("Ctrl-C ends it", file=sys.stderr)


def _completion(args: argparse.Namespace, out: Output) -> int:
    from telephony.cli.completion import script

    out.verbatim(script(args.shell).rstrip())
    return DONE


COMMANDS: Mapping[str, Command] = {
    "demo": _demo,
    "check": _check,
    "dial": _dial,
    "listen": _listen,
    "sandbox": _sandbox,
    "replay": _replay,
    "completion": _completion,
}


def for_shells(args: argparse.Namespace) -> bool:
    """Whether what the command prints is for a shell to read: then no view changes in place."""
    return args.command in ("sandbox", "completion") or getattr(args, "serve", False)
