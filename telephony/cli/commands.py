"""Which commands there are, and what each does.

Who and where comes from the environment (``CM_HOST AUTH_TOKEN APPID CLIENT_ID TO_NUMBER
FROM_NUMBER DID REGION SIP CHANNEL RTC_TOKEN``), and secrets from nowhere else: an
argument can be read by every process on the machine. Exit codes: 0 done, 1 refused or
failed, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import logging
import math
import os
import queue
import re
import secrets
import signal
import sys
import threading
from typing import Any, Generator, Sequence

from telephony._version import __version__
from telephony.client import Client
from telephony.errors import InvalidArgumentError, TelephonyError, WaitTimeoutError
from telephony.cli.interruption import Patience, on_interruption
from telephony.cli.output import Output
from telephony.protocol.commands import Dial, checked_text
from telephony.protocol.events import CallIncoming, Connected, ErrorOccurred, Event
from telephony.protocol.states import ConnectionState

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

#: Events that have come are still printed at the end, for so many seconds at most.
DRAIN_SECONDS = 2.0

#: The DID that ``telephony sandbox`` prints; dialling it loops back.
USUAL_DID = "+18005550100"

_USUAL = {"REGION": "AREA_CODE_NA", "CHANNEL": "telephony"}
#: where a wrong argument came from
_SOURCES = {
    "url": "CM_HOST",
    "auth_token": "AUTH_TOKEN",
    "app_id": "APPID",
    "client_id": "CLIENT_ID",
    "to": "TO_NUMBER or --to",
    "from_": "FROM_NUMBER or --from",
    "region": "REGION",
    "channel": "CHANNEL",
    "uid": "--uid",
    "token": "RTC_TOKEN",
    "sip": "SIP",
    "timeout": "--ring",
    "subscribe_numbers": "DID or --did",
}
#: the library logs what it also tells as an event, and here every event is printed
_UNLOGGED = logging.NullHandler()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. *argv* None: the process's arguments."""
    args = _parser().parse_args(argv)
    logging.getLogger("telephony").addHandler(_UNLOGGED)
    if args.verbose:
        logging.basicConfig(level=logging.INFO)
    out = Output(sys.stdout, sys.stderr, json_lines=args.json or not sys.stdout.isatty())
    code = INTERRUPTED
    with contextlib.suppress(KeyboardInterrupt), on_interruption(signal.default_int_handler):
        try:
            code = args.run(args, out)
        except InvalidArgumentError as error:
            out.complain(_named(error))
            code = USAGE
        except (TelephonyError, ImportError, OSError) as error:
            out.error(error)
            code = FAILED
    return FAILED if out.broken else code


# --- the environment -----------------------------------------------------------------------


def _setting(name: str, given: str | None = None) -> str | None:
    """An argument, else the environment's variable, else what is usual."""
    return given or os.environ.get(name, "").strip() or _USUAL.get(name)


def _required(**settings: str | None) -> None:
    """Raise unless all are there, and the client's own with them; names all that are missing."""
    settings = {n: _setting(n) for n in ("CM_HOST", "AUTH_TOKEN", "APPID")} | settings
    missing = [name for name, value in settings.items() if not value]
    if missing:
        raise InvalidArgumentError(f"{', '.join(missing)} must be set in the environment")


def _named(error: InvalidArgumentError) -> str:
    """The error's words, behind the name of the variable that was wrong."""
    name = _SOURCES.get(re.split(r"[\s\[:]", str(error), maxsplit=1)[0])
    return f"{name}: {error}" if name else str(error)


def _rtc_token(app_id: str) -> str:
    # A project without an App Certificate takes the App ID in place of a token.
    return _setting("RTC_TOKEN") or app_id


@contextlib.contextmanager
def _connected(
    args: argparse.Namespace, out: Output, *, hang_up: bool, **options: Any
) -> Generator[tuple[Client, queue.SimpleQueue[BaseException]], None, None]:
    """A connected client whose events are printed, and where its end is told.

    With *hang_up* every call that is up is hung up on leaving. Calls that are only watched are
    not ours to end: another client may be about to accept them.
    """
    client = Client.from_env(allow_insecure=args.allow_insecure, **options)
    over: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    client.on(Event, out.event)

    @client.on(ErrorOccurred)
    def give_up(event: ErrorOccurred) -> None:
        if client.state is ConnectionState.IDLE:  # it will not connect again
            over.put(event.error)
            client.close()

    shown = threading.Event()
    client.on(Connected, lambda _: shown.set())
    try:
        client.connect()
        shown.wait(DRAIN_SECONDS)  # it is the first line, before those of any call
        yield client, over
    finally:
        client.close(drain=DRAIN_SECONDS, hangup_active=hang_up)


# --- the commands --------------------------------------------------------------------------


def _demo(args: argparse.Namespace, out: Output) -> int:
    from telephony.cli.demo import run

    run(out)
    return DONE


def _check(args: argparse.Namespace, out: Output) -> int:
    from telephony.cli.check import run

    _required()
    client = Client.from_env(
        allow_insecure=args.allow_insecure, connect_timeout=args.timeout, reconnect=False
    )
    return DONE if run(client, out) else FAILED


def _dial(args: argparse.Namespace, out: Output) -> int:
    to, from_ = _setting("TO_NUMBER", args.to), _setting("FROM_NUMBER", args.from_)
    _required(TO_NUMBER=to, FROM_NUMBER=from_)
    fields: dict[str, Any] = {
        "to": to,
        "from_": from_,
        "channel": _setting("CHANNEL", args.channel),
        "uid": args.uid,
        "token": _rtc_token(args.app_id or os.environ["APPID"]),
        "region": _setting("REGION", args.region),
        "sip": _setting("SIP"),
        "app_id": args.app_id,
        "timeout": args.ring,
    }
    Dial(**fields)  # what is wrong is said before connecting
    with _connected(args, out, hang_up=True) as (client, _):
        patience = Patience(out)
        with patience.held():
            call = client.dial(**fields)
        with call:
            patience.check()
            call.wait_answered()
            if args.digits:
                call.send_dtmf(args.digits)
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
    _required()
    dids = args.did or re.split(r"[\s,]+", _setting("DID") or "")
    first_uid = args.uid
    if not first_uid.isdecimal():
        raise InvalidArgumentError("uid must be a whole number: each call gets the next one")
    if args.accept is not None:
        checked_text("--accept", args.accept)
    uids = itertools.count(int(first_uid))  # two with one uid would throw each other out
    numbers = [number for number in dids if number]
    hang_up = args.accept is not None
    with _connected(args, out, hang_up=hang_up, subscribe_numbers=numbers) as (client, over):

        @client.on(CallIncoming)
        def decide(event: CallIncoming) -> None:
            call = event.call
            try:
                if args.accept is not None:
                    token = _rtc_token(call.app_id or os.environ["APPID"])
                    call.accept(token=token, channel=args.accept, uid=next(uids))
                elif args.reject is not None:
                    call.reject(args.reject)
            except TelephonyError as error:
                out.error(error)

        out.step("listen", f"for calls to {', '.join(numbers) or 'any number'}; Ctrl-C ends it")
        with contextlib.suppress(queue.Empty):
            raise over.get(timeout=args.seconds)
    return DONE


def _sandbox(args: argparse.Namespace, out: Output) -> int:
    from telephony.sandbox import DEFAULT_APP_ID, DEFAULT_AUTH_TOKEN, Sandbox
    from telephony.sandbox.settings import is_loopback

    app_ids = args.app_id or [DEFAULT_APP_ID]
    token = DEFAULT_AUTH_TOKEN
    if not is_loopback(args.host):  # others can reach it, and the usual token is public
        token = f"Basic {secrets.token_urlsafe(18)}"
    sandbox = Sandbox(
        args.host,
        args.port,
        auth_token=token,
        app_ids=app_ids,
        dids={app_id: args.did for app_id in app_ids} if args.did else None,
        loop_back=[USUAL_DID],
        time_scale=args.time_scale,
        dtmf_echo=args.dtmf_echo,
    )
    with contextlib.suppress(KeyboardInterrupt), sandbox as cm:
        variables = {
            "CM_HOST": cm.url,
            "CM_HTTP": cm.http_url,
            "AUTH_TOKEN": cm.auth_token,
            "APPID": cm.app_id,
            "DID": args.did[0] if args.did else USUAL_DID,
            "TO_NUMBER": "+18005551234",
            "FROM_NUMBER": "+15551234567",
            "REGION": _USUAL["REGION"],
        }
        if args.json:
            out.line("", event="sandbox", **variables)
        else:  # piped too: what a shell is to read is the same everywhere
            out.environment(variables)
        if sys.stderr.isatty():
            print("Ctrl-C ends it", file=sys.stderr)
        threading.Event().wait()
    return DONE


# --- the arguments -------------------------------------------------------------------------


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _keys(text: str) -> str:
    if not re.fullmatch("[0-9*#]+", text):
        raise ValueError
    return text


# argparse names the type in its complaint: "invalid seconds value: 'x'"
_seconds.__name__, _port.__name__, _keys.__name__ = "seconds", "port", "digits (0-9 * #)"


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--json", action="store_true", help="one JSON object a line, as when piped"
    )
    common.add_argument("-v", "--verbose", action="store_true", help="log to the standard error")
    account = argparse.ArgumentParser(add_help=False)
    account.add_argument(
        "--allow-insecure",
        action="store_true",
        help="send the credentials in the clear (ws://) to another machine",
    )
    parser = argparse.ArgumentParser(
        prog="telephony",
        description="Place and receive phone calls through the Agora SIP Call Manager.",
        epilog="Environment: CM_HOST AUTH_TOKEN APPID CLIENT_ID TO_NUMBER FROM_NUMBER DID REGION "
        "SIP CHANNEL RTC_TOKEN. Exit codes: 0 done, 1 refused or failed, 2 usage, "
        "130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"telephony {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, *, online: bool = True) -> Any:
        added = commands.add_parser(
            name, help=text, description=text, parents=[common, account] if online else [common]
        )
        added.set_defaults(run=run)
        return added

    command("demo", _demo, "show calls on a sandbox, without an account", online=False)

    check = command("check", _check, "try to register, and say which step fails")
    check.add_argument(
        "--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="at most (10)"
    )

    dial = command("dial", _dial, "place a call, and hang it up on Ctrl-C")
    dial.add_argument("--to", metavar="NUMBER", help="whom to call (TO_NUMBER)")
    dial.add_argument("--from", dest="from_", metavar="NUMBER", help="from where (FROM_NUMBER)")
    dial.add_argument("--channel", help="the channel for its audio (CHANNEL, telephony)")
    dial.add_argument("--uid", default="100", help="the uid in the channel (100)")
    dial.add_argument("--region", help="the gateway's region (REGION, AREA_CODE_NA)")
    dial.add_argument("--app-id", help="the App ID, where APPID is MULTI")
    dial.add_argument("--ring", type=_seconds, metavar="SECONDS", help="let it ring so long")
    dial.add_argument("--digits", type=_keys, help="send them after the answer")
    dial.add_argument(
        "--seconds", type=_seconds, help="hang up so long after the answer (else on Ctrl-C)"
    )

    listen = command("listen", _listen, "print every event, and accept or reject calls")
    listen.add_argument(
        "--did", action="append", metavar="NUMBER", help="listen for it; repeatable (DID; all)"
    )
    listen.add_argument(
        "--uid", default="200", help="the first call's uid in the channel (200)"
    )
    listen.add_argument("--seconds", type=_seconds, help="end after so long (else on Ctrl-C)")
    either = listen.add_mutually_exclusive_group()
    either.add_argument("--accept", metavar="CHANNEL", help="accept calls into this channel")
    either.add_argument("--reject", metavar="REASON", help="reject calls for this reason")

    sandbox = command(
        "sandbox", _sandbox, "run a Call Manager here, and print how to reach it", online=False
    )
    sandbox.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
    sandbox.add_argument("--port", type=_port, default=0, help="0 (the usual): any that is free")
    sandbox.add_argument(
        "--time-scale", type=_seconds, default=1.0, metavar="TIMES", help="speed of calls (1)"
    )
    sandbox.add_argument(
        "--did", action="append", metavar="NUMBER", help="serve only it; repeatable (any)"
    )
    sandbox.add_argument("--app-id", action="append", help="serve this App ID; repeatable")
    sandbox.add_argument(
        "--dtmf-echo", choices=("whole", "digits"), default="whole", help="how digits come back"
    )
    return parser
