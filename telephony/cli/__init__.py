"""The command line: ``telephony demo | check | dial | listen | sandbox``."""

from telephony.cli.commands import main

__all__ = ["main"]
