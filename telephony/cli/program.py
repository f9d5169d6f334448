"""From the process's arguments to its exit code.

0 done, 1 refused or failed, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from types import FrameType
from typing import Sequence

from telephony.cli.arguments import parser
from telephony.cli.columns import Columns
from telephony.cli.commands import COMMANDS, FAILED, INTERRUPTED, USAGE, for_shells
from telephony.cli.environment import named
from telephony.cli.interruption import on_interruption
from telephony.cli.jsonlines import JsonLines
from telephony.cli.output import Output
from telephony.errors import InvalidArgumentError, TelephonyError

#: the library logs what it also tells as an event, and here every event is printed
_UNLOGGED = logging.NullHandler()


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. *argv* None: the process's arguments."""
    args = parser().parse_args(argv)
    logging.getLogger("telephony").addHandler(_UNLOGGED)
    out = _output(args)
    if args.verbose:
        logging.basicConfig(level=logging.INFO, handlers=[_Noted(out)])
    code = INTERRUPTED

    def interrupt(number: int, frame: FrameType | None) -> None:
        if out.obeys(number):
            raise KeyboardInterrupt

    try:
        with contextlib.suppress(KeyboardInterrupt), on_interruption(interrupt):
            code = _run(args, out)
    finally:
        with on_interruption(lambda number, frame: None):  # a terminal is left tidy whoever insists
            out.close()
    return FAILED if out.broken else code


def _run(args: argparse.Namespace, out: Output) -> int:
    try:
        return COMMANDS[args.command](args, out)
    except InvalidArgumentError as error:
        out.complain(named(error))
        return USAGE
    except (TelephonyError, ImportError, OSError) as error:
        out.error(error)
        return FAILED


def _output(args: argparse.Namespace) -> Output:
    """What the command prints with: it depends on who reads, and on what is installed."""
    if args.json or not sys.stdout.isatty():
        return JsonLines(sys.stdout, sys.stderr)
    if not for_shells(args):
        with contextlib.suppress(ImportError):
            from telephony.cli.live import LiveView

            if LiveView.fits(sys.stdout):
                return LiveView(sys.stdout, sys.stderr)
    return Columns(sys.stdout, sys.stderr)


class _Noted(logging.Handler):
    """Log lines, beside what the command prints."""

    def __init__(self, out: Output) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        self._out.note(self.format(record))
