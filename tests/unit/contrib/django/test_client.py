"""The process's one client: made on first use, anew in a child, closed at the end."""

from __future__ import annotations

import os
import sys
import threading

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.views.debug import ExceptionReporter

from telephony import CallHangup, CallIncoming, ConnectError, RegistrationError
from telephony.contrib.django import close_client, get_client
from telephony.contrib.django.client import fresh_connections
from telephony.contrib.django.signals import call_hangup, call_incoming, call_ringing
from telephony.sandbox import Sandbox
from tests.cli.programs import Program, environment
from tests.conftest import DIAL
from tests.scripted import Running

SECONDS = 30.0

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_for_each_process(account, cm):
    """Nothing is connected before the first use; threads at the same time get the same one."""
    assert [] == cm.frames
    asking = [Running(get_client) for _ in range(4)]
    found = {id(each.result()) for each in asking}
    assert 1 == len(found)
    assert get_client().connected
    cm.assert_sent("register", times=1)


def test_from_the_environment(cm, settings, monkeypatch):
    """What the setting leaves out is read from there."""
    settings.TELEPHONY = {"CONNECT_TIMEOUT": 30}
    for name, value in cm.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLIENT_ID", "shop")
    assert get_client().options.client_id.startswith("shop-")


def test_closed_and_made_anew(phone, cm):
    """After ``close_client``, and after a close by hand."""
    close_client()
    assert phone.closed
    second = get_client()
    assert second.connected and second is not phone
    second.close()
    assert get_client().connected


def test_another_account(phone, account, settings):
    """A setting that a test changes makes another client."""
    with Sandbox() as other:
        settings.TELEPHONY = {**account, "HOST": other.url, "AUTH_TOKEN": other.auth_token}
        assert phone.closed
        assert get_client().options.url.startswith(other.url)
        close_client()


@pytest.mark.parametrize("change, named", [
    ({"HOST": ""}, 'TELEPHONY["HOST"] or CM_HOST'),
    ({"AUTH_TOKEN": None}, 'TELEPHONY["AUTH_TOKEN"] or AUTH_TOKEN'),
    ({"APP_ID": ""}, 'TELEPHONY["APP_ID"] or APPID'),
    ({"HOST": "http://x"}, r'TELEPHONY["HOST"]: url must begin with wss://'),
    ({"AUTH_TOKEN": 7}, 'TELEPHONY["AUTH_TOKEN"] must be a string, not int'),
    ({"OPTIONS": []}, 'TELEPHONY["OPTIONS"] must be a dict of Client options, not list'),
    ({"OPTIONS": {"wrokers": 1}}, 'TELEPHONY["OPTIONS"]: there is no option wrokers'),
    ({"OPTIONS": {"workers": 0}}, 'TELEPHONY["OPTIONS"]: workers must be'),
    ({"OPTIONS": {"callback_context": 1}}, 'TELEPHONY["OPTIONS"]: callback_context must be'),
    ({"OPTIONS": {"token_provider": "no.such"}},
     'TELEPHONY["OPTIONS"]["token_provider"]: \'no.such\' cannot be imported'),
    ({"CONNECT_TIMEOUT": 0}, 'TELEPHONY["CONNECT_TIMEOUT"] must be seconds, more than 0, not 0'),
    ({"RECORDS": "yes"}, 'TELEPHONY["RECORDS"] must be True or False'),
    ({"WEBHOOKS": 1}, "TELEPHONY has no key WEBHOOKS; there are HOST,"),
])  # fmt: skip
def test_what_is_wrong_is_named(account, settings, change, named):
    """Before anything is connected, and without the value of a secret."""
    settings.TELEPHONY = {**account, **change}
    with pytest.raises(ImproperlyConfigured) as raised:
        get_client()
    assert named in str(raised.value)


@pytest.mark.parametrize("change", [{"RECORDS": 1}, {"HOST": ""}, {"OPTIONS": {"workers": 0}}])
def test_error_reports_show_no_secret(account, settings, change):
    """Django mails them with the variables of each frame."""
    settings.TELEPHONY = {**account, **change}
    with pytest.raises(ImproperlyConfigured) as raised:
        get_client()
    ours = raised.tb.tb_next  # this test has them, too
    report = ExceptionReporter(None, raised.type, raised.value, ours).get_traceback_html()
    assert "ImproperlyConfigured" in report
    for key in ("AUTH_TOKEN", "WEBHOOK_SECRET"):
        assert account[key] not in report


def test_no_dict(settings):
    """The setting itself."""
    settings.TELEPHONY = ["HOST"]
    with pytest.raises(ImproperlyConfigured, match="TELEPHONY must be a dict, not list"):
        get_client()


def test_not_installed(account, settings):
    """The records need the app."""
    apps = [name for name in settings.INSTALLED_APPS if name != "telephony.contrib.django"]
    settings.INSTALLED_APPS = apps
    with pytest.raises(ImproperlyConfigured, match="must be in INSTALLED_APPS"):
        get_client()


def test_connect_errors_are_the_clients(account, settings, cm):
    """Nobody there, and credentials that are refused."""
    cm.refuse("unauthorized")
    with pytest.raises(RegistrationError):
        get_client()
    cm.clear_faults()
    assert get_client().connected  # tried again
    settings.TELEPHONY = {**account, "HOST": "ws://127.0.0.1:1"}
    with pytest.raises(ConnectError):
        get_client()


def provide(channel, uid, app_id):
    """A token provider with a dotted path."""
    return "rtc-token-provided"


def test_options_by_dotted_path(account, settings, cm):
    """As settings files like to have them."""
    settings.TELEPHONY = {**account, "OPTIONS": {"token_provider": f"{__name__}.provide"}}
    get_client().dial(**{**DIAL, "token": None})
    assert "rtc-token-provided" == cm.wait_for_command("outbound")["token"]


def test_callbacks_leave_no_connection(phone, heard):
    """A callback's connection to the database is closed after it, as after a request."""
    used = []

    def use(event):
        if not used:
            connections["default"].ensure_connection()
            used.append(connections["default"])

    ended = heard(call_hangup, use)
    with fresh_connections():
        use(None)
    assert None is used.pop().connection
    phone.dial(**DIAL).hangup()
    ended.next()
    close_client(drain=SECONDS)
    assert [None] == [each.connection for each in used]


def test_a_context_of_ones_own(account, settings, heard):
    """``callback_context`` of the options is entered too."""
    entered = threading.Event()

    class Context:
        def __enter__(self):
            entered.set()

        def __exit__(self, *_):
            pass

    settings.TELEPHONY = {**account, "OPTIONS": {"callback_context": Context}}
    ended = heard(call_hangup)
    get_client().dial(**DIAL).hangup()
    ended.next()
    assert entered.is_set()


def test_web_processes_leave_incoming_calls_to_others(phone, cm, heard):
    """No receiver is asked, and nothing is recorded; the listener is another process."""
    incoming, ringing = heard(call_incoming, lambda event: True), heard(call_ringing)
    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    phone.dial(**DIAL)
    ringing.next()  # the WebSocket keeps its order
    assert incoming.empty()
    assert None is phone.call(caller.call_id)
    caller.hang_up()


def test_inbound_in_this_process(account, settings, cm, heard):
    """``INBOUND`` has them told here, and who returns True keeps the call."""
    settings.TELEPHONY = {**account, "INBOUND": True}
    incoming = heard(call_incoming, lambda event: True)
    client = get_client()
    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    event = incoming.next()
    assert CallIncoming is type(event)
    client.accept(caller.call_id, token=DIAL["token"], channel="support", uid=200)
    assert caller.wait_accepted(SECONDS)


def test_a_receiver_that_raises_stops_no_other(phone, heard, caplog):
    """It is logged with its traceback."""

    def fail(event):
        raise ZeroDivisionError("of the receiver")

    first, second = heard(call_hangup, fail), heard(call_hangup)
    phone.dial(**DIAL).hangup()
    assert CallHangup is type(first.next()) is type(second.next())
    close_client(drain=SECONDS)
    failures = [record for record in caplog.records if record.name == "django.dispatch"]
    assert ZeroDivisionError is failures[0].exc_info[0]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_connects_anew(phone, cm):
    """After a fork the child has a connection of its own, and the parent keeps its."""
    cm.wait_for_command("register")
    child = os.fork()
    if child == 0:  # pragma: no cover - counted in the parent only
        code = 1
        try:
            code = 0 if get_client().connected else 2
            close_client()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert 0 == status
    second = cm.wait_for_command("register")
    assert second["client_id"] != phone.options.client_id
    assert phone.connected
    phone.dial(**DIAL).hangup()


AT_EXIT = """\
import django, os
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["telephony.contrib.django"], USE_TZ=True,
    TELEPHONY={"HANGUP_AT_EXIT": %s, "RECORDS": False})
django.setup()
from telephony.contrib.django import get_client
get_client().dial(to="+18005551234", from_="+15551234567", channel="room", uid=1,
                  token="rtc-token-1", region="AREA_CODE_NA")
"""


@pytest.mark.parametrize("hang_up", [True, False])
def test_closed_at_exit(cm, hang_up):
    """The process ends by itself; its calls end with it only if that was asked for."""
    command = [sys.executable, "-W", "error", "-c", AT_EXIT % hang_up]
    with Program(command, {**environment(), **cm.environ}) as program:
        code, _ = program.finish()
        assert 0 == code, program.stderr
        assert "" == program.stderr
    assert hang_up is any(frame["action"] == "endcall" for frame in cm.frames)


def test_importing_needs_nothing():
    """No settings and no network, and without Django one clear error."""
    programs = {
        "import telephony.contrib.django as app; app.get_client": "",
        "import sys; sys.modules['django'] = None; import telephony.contrib.django": (
            'telephony.contrib.django needs Django: pip install "agora-telephony[django]"'
        ),
    }
    for source, said in programs.items():
        with Program([sys.executable, "-c", source], environment()) as program:
            code, _ = program.finish()
            assert (1 if said else 0) == code, program.stderr
            assert said in program.stderr
