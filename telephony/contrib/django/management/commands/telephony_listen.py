"""``manage.py telephony_listen``: the process that takes calls that come in."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
)

from telephony.contrib.django.client import close_client, listening_client
from telephony.contrib.django.configuration import Configuration
from telephony.contrib.django.signals import call_incoming
from telephony.errors import TelephonyError


class Command(BaseCommand):  # type: ignore[misc]
    """Connects, sends the signals, call_incoming too, and runs until SIGTERM or Ctrl-C.

    Exit codes: 0 after a signal; 1 when the Call Manager cannot be reached at the start, or
    refuses the credentials; 2 for settings that are missing or wrong.
    """

    help = "Take the calls that come in: send the signal call_incoming, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hangup-active",
            action="store_true",
            help="hang up every active call at the end, as with HANGUP_AT_EXIT (else they stay up)",
        )
        parser.add_argument(
            "--client-id",
            metavar="NAME",
            help='this process\'s name at the Call Manager (else TELEPHONY["CLIENT_ID"]); two '
            "processes must not share one",
        )

    def handle(self, *, hangup_active: bool, client_id: str | None, **_: Any) -> None:
        try:
            client = listening_client(client_id)
            hangup_active = hangup_active or Configuration.read().hangup_at_exit
        except ImproperlyConfigured as error:
            raise CommandError(str(error), returncode=2) from error
        if not call_incoming.receivers:
            self.stderr.write("No receiver of call_incoming: every call is left to others.")
        try:
            client.run_forever(hangup_active=hangup_active)
        except TelephonyError as error:
            raise CommandError(str(error)) from error
        finally:
            close_client(drain=5)
