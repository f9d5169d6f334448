"""The arguments of the commands, and what is said of wrong ones."""

from __future__ import annotations

import argparse
import math
import re
from typing import Any, NoReturn, Sequence

from telephony._version import __version__
from telephony.cli.pages import PAGES, WIDTH, overview

#: Secrets that people may try to give as arguments, and where they belong.
_SECRETS = {
    "--auth-token": "AUTH_TOKEN",
    "--token": "RTC_TOKEN",
    "--rtc-token": "RTC_TOKEN",
    "--sip": "SIP",
}


def parser() -> argparse.ArgumentParser:
    """The parser of ``telephony``; parsed arguments have the command's name in ``command``."""
    above, below = overview()
    whole = argparse.ArgumentParser(
        prog="telephony", description=above, epilog=below, formatter_class=_Format
    )
    whole.add_argument("--version", action="version", version=f"telephony {__version__}")
    commands = whole.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name, add in _ARGUMENTS.items():
        page = PAGES[name]
        command = commands.add_parser(
            name,
            help=page.summary,
            description=page.description,
            epilog=page.epilog,
            formatter_class=_Format,
        )
        add(command)
        for option in _SECRETS:
            command.add_argument(option, action=_Secret, nargs="?", help=argparse.SUPPRESS)
    return whole


class _Format(argparse.RawDescriptionHelpFormatter):
    """Pages as they are written, as wide as `pages` has them."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=WIDTH)

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += 2  # it does not count that the commands are indented


class _Secret(argparse.Action):
    """Refuses an argument that would show a secret, and does not repeat it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> NoReturn:
        name = _SECRETS[str(option_string)]
        asked = ", or leave it out and be asked for it" if name == "AUTH_TOKEN" else ""
        parser.error(
            f"{option_string} is no argument, as others could read it in the list of processes: "
            f"put it into the environment variable {name}{asked}"
        )


# --- each command's own -------------------------------------------------------------------


def _usual(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--json", action="store_true", help="one JSON object a line, as when piped"
    )
    command.add_argument("-v", "--verbose", action="store_true", help="show the log as well")


def _account(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--allow-insecure",
        action="store_true",
        help="send the credentials in the clear (ws://) to another machine",
    )
    _usual(command)


def _dids(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--did", action="append", metavar="NUMBER", help=what)


def _record(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--record", metavar="FILE", help="write what is sent and received there, without secrets"
    )


def _check(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="for connecting, dns to register, and for each question after it (10)",
    )
    _dids(command, "is it served? repeatable (DID)")
    _account(command)


def _dial(command: argparse.ArgumentParser) -> None:
    command.add_argument("--to", metavar="NUMBER", help="whom to call (TO_NUMBER)")
    command.add_argument("--from", dest="from_", metavar="NUMBER", help="from where (FROM_NUMBER)")
    command.add_argument("--channel", help="the channel for its audio (CHANNEL, telephony)")
    command.add_argument("--uid", default="100", help="the uid in the channel (100)")
    command.add_argument("--region", help="the gateway's region (REGION, AREA_CODE_NA)")
    command.add_argument("--app-id", help="the App ID, where APPID is MULTI")
    command.add_argument("--ring", type=_seconds, metavar="SECONDS", help="let it ring so long")
    command.add_argument("--digits", type=_keys, help="send them after the answer")
    command.add_argument(
        "--seconds", type=_seconds, help="hang up so long after the answer (else on Ctrl-C)"
    )
    _record(command)
    _account(command)


def _listen(command: argparse.ArgumentParser) -> None:
    _dids(command, "listen for it; repeatable (DID; all)")
    command.add_argument("--uid", default="200", help="the first call's uid in the channel (200)")
    command.add_argument("--seconds", type=_seconds, help="end after so long (else on Ctrl-C)")
    either = command.add_mutually_exclusive_group()
    either.add_argument("--accept", metavar="CHANNEL", help="accept calls into this channel")
    either.add_argument("--reject", metavar="REASON", help="reject calls for this reason")
    _record(command)
    _account(command)


def _sandbox(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
    command.add_argument("--port", type=_port, default=0, help="0 (the usual): any that is free")
    command.add_argument(
        "--time-scale", type=_seconds, default=1.0, metavar="TIMES", help="speed of calls (1)"
    )
    command.add_argument(
        "--app-id", action="append", metavar="APPID", help="serve this App ID; repeatable"
    )
    command.add_argument(
        "--did",
        action="append",
        metavar="[APPID=]NUMBER",
        help="serve only it, for every App ID or for one; repeatable (any)",
    )
    command.add_argument(
        "--own-tokens", action="store_true", help="a token for each App ID, made up and printed"
    )
    command.add_argument(
        "--hold",
        type=_seconds,
        default=15.0,
        metavar="SECONDS",
        help="how long a caller waits to be accepted (15)",
    )
    command.add_argument(
        "--dtmf-echo", choices=("whole", "digits"), default="whole", help="how digits come back"
    )
    _usual(command)


def _replay(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="a recording, as `--record` makes them")
    command.add_argument(
        "--serve", action="store_true", help="to a client of yours: print how it gets here"
    )
    command.add_argument(
        "--speed",
        type=_speed,
        default=0.0,
        metavar="TIMES",
        help="1: at the pace of then; 0, the usual: as fast as the client follows",
    )
    command.add_argument("--port", type=_port, default=0, help="0 (the usual): any that is free")
    _usual(command)


def _completion(command: argparse.ArgumentParser) -> None:
    command.add_argument("shell", choices=("bash", "zsh"), help="for which shell")
    command.set_defaults(json=False, verbose=False)


_ARGUMENTS = {
    "demo": _usual,
    "check": _check,
    "dial": _dial,
    "listen": _listen,
    "sandbox": _sandbox,
    "replay": _replay,
    "completion": _completion,
}


# --- their values ------------------------------------------------------------------------------


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError
    return seconds


def _speed(text: str) -> float:
    return 0.0 if float(text) == 0 else _seconds(text)


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
_speed.__name__ = "speed"
