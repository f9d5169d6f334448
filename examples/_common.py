"""What the three examples share: the environment, and a sandbox where there is no account."""

import contextlib
import json
import os
import sys

from telephony import Client, TelephonyError
from telephony.sandbox import Sandbox

USUAL = {
    "TO_NUMBER": "+18005551234",
    "FROM_NUMBER": "+15551234567",
    "DID": "+18005550100",
    "REGION": "AREA_CODE_NA",
    "CHANNEL": "example",
}


def show(event):
    """Print an event as one line of JSON."""
    line = {"event": event.name}
    info = getattr(event, "info", None)
    if info is not None:
        line.update(call_id=info.call_id, direction=info.direction, state=info.state)
    for name in ("session_id", "reconnected", "digits", "hangup_cause", "billsec", "error"):
        value = getattr(event, name, None)
        if value is not None:
            line[name] = value if isinstance(value, (bool, int)) else str(value)
    # One write a line: callbacks of several calls run side by side, and print() writes twice.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def account(*needed):
    """The Call Manager to use: yields (client, settings, sandbox or None).

    With CM_HOST set it is that one, and *needed* are the variables that must be set too.
    Without, a sandbox is started, and every variable has a value. In the end calls that are
    up are hung up, and the client is closed once the events that have come are shown.
    """
    settings = {**USUAL, **{name: value for name, value in os.environ.items() if value}}
    missing = [name for name in ("AUTH_TOKEN", "APPID", *needed) if not os.environ.get(name)]
    with contextlib.ExitStack() as stack, said_in_a_line():
        if "CM_HOST" not in settings:
            print("CM_HOST is not set: running against a sandbox here", file=sys.stderr)
            sandbox = stack.enter_context(Sandbox(time_scale=4))
            client = sandbox.client()
            settings["RTC_TOKEN"] = "sandbox-rtc-token"
        elif missing:
            sys.exit(f"set {', '.join(missing)} in the environment")
        else:
            sandbox = None
            client = Client.from_env()
            # A project without an App Certificate takes the App ID for a token.
            settings.setdefault("RTC_TOKEN", settings["APPID"])
        stack.callback(client.close, drain=2, hangup_active=True)
        yield client, settings, sandbox


@contextlib.contextmanager
def said_in_a_line():
    """What goes wrong is said without a traceback; Ctrl-C is no error of the program's."""
    try:
        yield
    except (TelephonyError, ImportError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
