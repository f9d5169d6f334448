"""The command line, ``telephony``: see `pages` for what its commands are."""

from telephony.cli.main import main

__all__ = ["main"]
