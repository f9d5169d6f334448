"""``telephony completion``: what bash and zsh need to complete a command line."""

from __future__ import annotations

import argparse
from typing import Iterator

from telephony.cli.arguments import parser


def script(shell: str) -> str:
    """The script for ``bash`` or ``zsh``. Raises ImportError without shtab."""
    try:
        import shtab
    except ImportError:
        raise ImportError(
            'completion needs shtab: pip install "agora-telephony[cli]"'
        ) from None
    whole = parser()
    for action in _actions(whole):
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(whole, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All arguments, of the commands too."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
