"""``manage.py telephony_listen``, as a process."""

from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import Program, environment
from tests.conftest import PATIENT

SECONDS = 30.0

MANAGE = """\
import os
import sys
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["telephony.contrib.django"], USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    TELEPHONY={"CLIENT_ID": "desk", "HANGUP_AT_EXIT": "HANGUP" in os.environ})
django.setup()

from django.core.management import execute_from_command_line
from telephony.contrib.django import get_client
from telephony.contrib.django.signals import call_answered, call_hangup, call_incoming

def answer(event, **kwargs):
    event.call.accept(token="rtc-token-1", channel="support", uid=200)
    assert get_client().call(event.call.call_id) is event.call

def told(event, **kwargs):
    print(event.name, flush=True)

if sys.argv[1] != "deaf":
    call_incoming.connect(answer)
call_answered.connect(told)
call_hangup.connect(told)
execute_from_command_line([sys.argv[0], *[word for word in sys.argv[1:] if word != "deaf"]])
"""


@pytest.fixture
def manage(tmp_path, cm):
    """A function that runs the project's ``manage.py``."""
    (tmp_path / "manage.py").write_text(MANAGE)

    def run(*words, **variables):
        command = [sys.executable, "-W", "error", "manage.py", *words]
        return Program(command, environment(**{**cm.environ, **variables}), cwd=tmp_path)

    return run


def rows(tmp_path, query):
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
        return database.execute(query).fetchall()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_call_is_answered(manage, cm, tmp_path, how):
    """It is recorded too, and the process ends when it is told to, with 0."""
    with manage("migrate", "--verbosity", "0") as program:
        code, _ = program.finish()
        assert 0 == code, program.stderr
    with manage("telephony_listen") as program:
        assert "desk" == cm.wait_for_command("register", SECONDS)["client_id"]
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        assert caller.wait_accepted(SECONDS)
        program.line(lambda line: "call_answered" in line)
        caller.hang_up()
        program.line(lambda line: "call_hangup" in line)
        program.interrupt(how)
        code, _ = program.finish()
        assert (0, "") == (code, program.stderr)
    found = rows(tmp_path, "select call_id, state, channel from telephony_callrecord")
    assert [(caller.call_id, "hangup", "support")] == found


@pytest.mark.parametrize("words, variables, hang_up", [
    (["--hangup-active"], {}, True), ([], {"HANGUP": "1"}, True), ([], {}, False),
])  # fmt: skip
def test_what_becomes_of_calls_at_the_end(manage, cm, words, variables, hang_up):
    """They stay up, unless it is asked for. No table for the records: no call is lost for it."""
    with manage("telephony_listen", "--client-id", "desk-2", *words, **variables) as program:
        assert "desk-2" == cm.wait_for_command("register", SECONDS)["client_id"]
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        assert caller.wait_accepted(SECONDS)
        program.line(lambda line: "call_answered" in line)
        program.interrupt(signal.SIGTERM)
        code, _ = program.finish()
        assert 0 == code
        assert "could not be recorded" in program.stderr
    assert hang_up is any("hangup" == frame["action"] for frame in cm.frames)


def test_refused_credentials(manage):
    """Ends with 1 and one line, so that whatever keeps it up says why."""
    with Sandbox(**PATIENT) as other, manage("telephony_listen", CM_HOST=other.url,
                                             AUTH_TOKEN="Basic wrong") as program:
        code, _ = program.finish()
        assert 1 == code
        assert "unauthorized" in program.stderr
        assert "Traceback" not in program.stderr


def test_settings_that_are_missing(manage):
    """Ends with 2, and names them."""
    with manage("telephony_listen", CM_HOST="") as program:
        code, _ = program.finish()
        assert 2 == code
        assert 'CommandError: TELEPHONY["HOST"] or CM_HOST' in program.stderr


def test_nobody_to_answer(manage, cm):
    """It says so, and goes on: other signals may be all that is wanted."""
    with manage("deaf", "telephony_listen") as program:
        cm.wait_for_command("register", SECONDS)
        program.interrupt(signal.SIGTERM)
        code, _ = program.finish()
        assert 0 == code
        assert "No receiver of call_incoming" in program.stderr


def test_a_restart(manage, cm, tmp_path):
    """Under the same name it hears of the calls that it had, and their records end."""
    with manage("migrate", "--verbosity", "0") as program:
        program.finish()
    with manage("telephony_listen") as program:
        cm.wait_for_command("register", SECONDS)
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        assert caller.wait_accepted(SECONDS)
        program.line(lambda line: "call_answered" in line)
        program.interrupt(signal.SIGTERM)
        assert 0 == program.finish()[0]
    query = "select state <> 'hangup', stale, channel from telephony_callrecord"
    assert [(1, 1, "support")] == rows(tmp_path, query)
    with manage("telephony_listen") as program:
        cm.wait_for_command("register", SECONDS)
        caller.hang_up()
        program.line(lambda line: "call_hangup" in line)
        program.interrupt(signal.SIGTERM)
        assert 0 == program.finish()[0]
    assert [(0, 0, "support")] == rows(tmp_path, query)
