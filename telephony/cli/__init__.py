"""The command line, ``telephony``: see `pages` for what its commands are."""

from __future__ import annotations

from typing import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. *argv* None: the process's arguments."""
    try:
        from telephony.cli.program import run  # takes a moment, in which Ctrl-C may come
    except KeyboardInterrupt:
        return 130
    return run(argv)
