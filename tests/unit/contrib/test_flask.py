"""The Flask extension: real apps, a real sandbox, and processes that fork and end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
import urllib.request

import pytest
from flask import Flask, current_app, g

from telephony import (
    CallAnswered,
    CallEvent,
    CallHangup,
    CallIncoming,
    CallNotFoundError,
    Client,
    ClientClosedError,
    ConnectError,
    Event,
    InvalidArgumentError,
    RegistrationError,
)
from telephony.contrib.flask import Telephony, webhooks_blueprint
from telephony.contrib.webhooks import Channel, parse_event
from telephony.sandbox import Sandbox
from tests.canary import AUTH_TOKEN, RTC_TOKEN
from tests.cli.programs import Program, account
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded

SECRET = "Bearer s3cret-of-the-gateway"


@pytest.fixture(autouse=True)
def no_account(monkeypatch):
    """The machine's environment has no account in it."""
    for name in ("CM_HOST", "AUTH_TOKEN", "APPID", "CLIENT_ID", "WERKZEUG_RUN_MAIN", "FLASK_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make():
    """Makes apps for a sandbox; what they connect is closed."""
    used = []

    def made(cm, telephony=None, **config):
        app = Flask("shop")
        if cm is not None:
            app.config.update(
                TELEPHONY_HOST=cm.url, TELEPHONY_AUTH_TOKEN=cm.auth_token,
                TELEPHONY_APP_ID=cm.app_id,
            )  # fmt: skip
        app.config.update(config)
        telephony = telephony or Telephony()
        telephony.init_app(app)
        used.append((telephony, app))
        return app, telephony

    yield made
    for telephony, app in used:
        telephony.close(app)


def registered(cm):
    """The names that were registered, one after the other."""
    return [frame["client_id"] for frame in cm.frames if frame["action"] == "register"]


# --- the client --------------------------------------------------------------------------


def test_it_is_connected_on_first_use(cm, make):
    """And not before; the second use finds it connected."""
    app, telephony = make(cm)
    assert [] == cm.frames
    with app.app_context():
        call = telephony.client.dial(**DIAL)
        assert telephony.client.connected
        assert [call] == telephony.client.calls()
    assert 1 == len(registered(cm))


def test_many_threads_share_one(cm, make):
    """The first of them makes it, whichever that is."""
    app, telephony = make(cm)
    barrier, found = threading.Barrier(6), []

    def use():
        barrier.wait(SECONDS)
        found.append(telephony.client)

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert 6 == len(found) and 1 == len(set(map(id, found)))
    assert 1 == len(registered(cm))


def test_two_threads_make_one(cm, make, monkeypatch):
    """Also where the second comes while the first is making it."""
    app, telephony = make(cm)
    made, again = [], threading.Event()

    class Slow(Client):
        def __init__(self, *arguments, **options):
            if made:
                again.set()
            made.append(self)
            if len(made) == 1:
                other.start()
                again.wait(0.2)  # it is not to come here
            super().__init__(*arguments, **options)

    monkeypatch.setattr("telephony.contrib.flask.Client", Slow)
    other = threading.Thread(target=lambda: telephony.client)
    assert telephony.client is made[0]
    other.join(SECONDS)
    assert 1 == len(made) == len(registered(cm))


def test_from_the_environment(cm, make, monkeypatch):
    """What the configuration leaves out; it goes before what both have."""
    for name, value in (("CM_HOST", cm.url), ("AUTH_TOKEN", cm.auth_token), ("APPID", "OTHER")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLIENT_ID", "web")
    app, telephony = make(None, TELEPHONY_APP_ID=cm.app_id)
    telephony.connect()
    assert telephony.client.options.app_id == cm.app_id
    assert telephony.client.options.client_id.startswith("web-")


def test_processes_share_a_configuration_and_no_name(cm, make):
    """The client id that is configured is what each name begins with."""
    for _ in range(2):
        app, telephony = make(cm, TELEPHONY_CLIENT_ID="web")
        telephony.connect(app)
    names = registered(cm)
    assert 2 == len(set(names)) and all(name.startswith("web-") for name in names)


def test_options(cm, make):
    """Those of the configuration go before those in the code."""
    telephony = Telephony(dial_timeout=11, command_timeout=12)
    app, _ = make(
        cm, telephony, TELEPHONY_OPTIONS={"dial_timeout": 13, "workers": 2},
        TELEPHONY_CONNECT_TIMEOUT=29,
    )  # fmt: skip
    options = telephony.client.options
    assert (13, 12, 2) == (options.dial_timeout, options.command_timeout, options.workers)


def test_what_is_missing_is_named_at_first_use(make):
    """All of it, with where it may come from; making the app needs nothing."""
    app, telephony = make(None, TELEPHONY_HOST="cm.example")
    with pytest.raises(InvalidArgumentError) as caught:
        telephony.client
    assert (
        "the app's configuration lacks TELEPHONY_AUTH_TOKEN (or AUTH_TOKEN in the environment), "
        "TELEPHONY_APP_ID (or APPID in the environment)"
    ) == str(caught.value)


@pytest.mark.parametrize(
    "key, value, says",
    [
        ("TELEPHONY_HOST", "http://cm.example", "TELEPHONY_HOST: url must begin with wss://"),
        ("TELEPHONY_HOST", 5, "TELEPHONY_HOST: url must be a string"),
        ("TELEPHONY_AUTH_TOKEN", "a\nb", "TELEPHONY_AUTH_TOKEN: auth_token must not hold"),
        ("TELEPHONY_OPTIONS", {"dail_timeout": 1}, "TELEPHONY_OPTIONS: there is no option dail_t"),
        ("TELEPHONY_OPTIONS", ["x"], "TELEPHONY_OPTIONS must be a dict, not list"),
        ("TELEPHONY_OPTIONS", {"workers": 0}, "TELEPHONY_OPTIONS: workers must be a whole number"),
        ("TELEPHONY_OPTIONS", {"callback_context": 1}, "callback_context must be a function"),
        ("TELEPHONY_CONNECT_TIMEOUT", "5", "TELEPHONY_CONNECT_TIMEOUT must be a number of seconds"),
        ("TELEPHONY_INBOUND", "false", "TELEPHONY_INBOUND must be True or False"),
        ("TELEPHONY_HANGUP_AT_EXIT", 1, "TELEPHONY_HANGUP_AT_EXIT must be True or False"),
    ],
)
def test_what_is_wrong_is_named_at_first_use(cm, make, key, value, says):
    """By its key; nothing is sent."""
    app, telephony = make(cm, **{key: value})
    with pytest.raises(InvalidArgumentError, match=says):
        telephony.client
    assert [] == cm.frames


def test_an_option_that_there_is_not():
    """In the code it is named at once."""
    with pytest.raises(InvalidArgumentError, match="Telephony: there is no option dail_timeout"):
        Telephony(dail_timeout=1)


def test_errors_of_the_connection_pass_through(make):
    """Wrong credentials, which are not shown; nobody there."""
    with Sandbox() as cm:
        app, telephony = make(cm, TELEPHONY_AUTH_TOKEN=AUTH_TOKEN)
        with pytest.raises(RegistrationError) as caught:
            telephony.client
        assert AUTH_TOKEN not in str(caught.value) + repr(telephony)
        app, telephony = make(cm)
    with pytest.raises(ConnectError):
        telephony.client


def test_closed_is_closed(cm, make):
    """Also where it was never used; calls stay up unless told."""
    app, telephony = make(cm)
    telephony.close()
    call = telephony.client.dial(**DIAL)
    telephony.close()
    with pytest.raises(ClientClosedError):
        telephony.client
    assert cm.calls[0].call_id == call.call_id and cm.calls[0].ended_by is None
    app, other = make(cm, TELEPHONY_HANGUP_AT_EXIT=True)
    other.client.dial(**{**DIAL, "uid": "101"})
    other.close()
    assert "endcall" == cm.calls[1].ended_by


# --- apps ----------------------------------------------------------------------------------


def test_several_apps_of_one_extension(cm, make):
    """Each has its own client; outside a context it has to be said which is meant."""
    telephony = Telephony()
    with pytest.raises(RuntimeError, match="there is no app"):
        telephony.client
    one, _ = make(cm, telephony)
    assert telephony is one.extensions["telephony"]
    other, _ = make(cm, telephony, TELEPHONY_CLIENT_ID="other")
    with pytest.raises(RuntimeError, match="several apps"):
        telephony.client
    with one.app_context():
        first = telephony.client
    with other.app_context():
        second = telephony.client
    assert first is not second
    assert second.options.client_id.startswith("other-")
    assert "<Telephony of 2 apps, 0 callbacks>" == repr(telephony)


def test_an_app_that_is_not_known(cm, make):
    """Or that has one already."""
    app, telephony = make(cm)
    with pytest.raises(RuntimeError, match="shop has a Telephony already"):
        Telephony(app)
    with Flask("stranger").app_context():
        with pytest.raises(RuntimeError, match=r"stranger is not known: call init_app\(app\)"):
            telephony.client


# --- callbacks -------------------------------------------------------------------------------


def test_callbacks_run_in_the_apps_context(cm, make):
    """Those from before init_app, before the connection and after it; each in its own context."""
    telephony, told = Telephony(), Recorded()

    @telephony.on(CallHangup, to="1 800 555 1234")
    def early(event):
        g.mine = getattr(g, "mine", 0) + 1
        told(("early", current_app.name, g.mine))

    app, _ = make(cm, telephony)

    @telephony.on(CallHangup)
    @telephony.on(CallAnswered)
    def before(event):
        g.mine = getattr(g, "mine", 0) + 1
        told((event.name, current_app.name, g.mine))

    call = telephony.client.dial(**DIAL)
    assert ("call_answered", "shop", 1) == told.next()

    def late(event):
        told("late")

    assert late is telephony.on(CallHangup, late)
    telephony.on(CallHangup, late, to="+18009999999")
    call.hangup()
    expected = [("call_hangup", "shop", 1), ("early", "shop", 1), "late"]
    assert expected == sorted((told.next() for _ in range(3)), key=str)
    telephony.off(late)
    telephony.off(early)
    telephony.off(before)
    telephony.client.dial(**DIAL).hangup()
    telephony.close()  # also waits for callbacks that run
    assert told.empty()


def test_a_context_of_ones_own_is_inside_the_apps(cm, make):
    """Given as an option."""
    entered, told = [], Recorded()

    class Mine:
        def __enter__(self):
            entered.append(current_app.name)

        def __exit__(self, *_):
            entered.append("left")

    app, telephony = make(cm, Telephony(callback_context=Mine))
    telephony.on(CallHangup, lambda event: told(list(entered)))
    telephony.client.dial(**DIAL).hangup()
    assert ["shop"] == told.next()


def test_off_before_there_is_a_client(cm, make):
    """It is never registered with one, and not called for a webhook."""
    telephony, told = Telephony(), Recorded()
    telephony.on(CallHangup, told)
    telephony.off(told)
    app, _ = make(cm, telephony)
    with app.app_context():
        telephony.client.dial(**DIAL).hangup()
        telephony.handle(parse_event(frame("call_hangup")))
    telephony.close()
    assert told.empty()


def test_what_cannot_be_registered():
    """It is said at once, before there is a client."""
    telephony = Telephony()
    for event_type, fn, match in (
        (str, print, {}), (CallHangup, 5, {}), (CallHangup, print, {"cause": "x"}),
    ):  # fmt: skip
        with pytest.raises(InvalidArgumentError):
            telephony.on(event_type, fn, **match)
    with pytest.raises(InvalidArgumentError, match="fn must be a function"):
        telephony.lookup(5)
    assert "<Telephony of 0 apps, 0 callbacks>" == repr(telephony)


def test_web_processes_leave_incoming_calls_alone(cm, make):
    """The callback is for the process that listens; none of them sends a word."""
    telephony, told = Telephony(), Recorded()
    telephony.on(CallIncoming, told)
    app, _ = make(cm, telephony)
    seen = Recorded()
    telephony.on(Event, seen)
    telephony.connect()
    telephony.on(CallIncoming, told)
    assert "connected" == seen.next().name
    caller = cm.incoming(to="+18005550001", from_="+15551234567")
    assert "call_incoming" == seen.next().name
    telephony.client.dial(**DIAL).hangup()  # what comes after it
    assert told.empty()
    assert {"register", "outbound", "endcall"} == {frame["action"] for frame in cm.frames}
    caller.hang_up()


def test_web_processes_that_are_to_answer(cm, make):
    """TELEPHONY_INBOUND: they do."""
    telephony = Telephony()

    @telephony.on(CallIncoming)
    def answer(event):
        event.call.accept(token=RTC_TOKEN, channel="support", uid="200")

    app, _ = make(cm, telephony, TELEPHONY_INBOUND=True)
    telephony.connect()
    assert cm.incoming(to="+18005550001", from_="+15551234567").wait_accepted(SECONDS)


# --- webhooks ----------------------------------------------------------------------------------


def frame(name="call_answered", **fields):
    """An event as the gateway POSTs it."""
    return {"event": name, "callid": "id-1", "timestamp": 1_700_000_000, "direction": "outbound",
            "channel": "room", "uid": "100", "appid": "APP", **fields}  # fmt: skip


def post(app, path, body, secret=SECRET, **headers):
    """One request of the gateway's; status and JSON."""
    if secret is not None:
        headers["Authorization"] = secret
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    reply = app.test_client().post(path, data=data, headers=headers)
    return reply.status_code, reply.get_json()


def test_events_go_to_the_callbacks(make):
    """In a context of their own, by their filters, once; no account is needed for that."""
    telephony, told = Telephony(), Recorded()
    app, _ = make(None, telephony, TELEPHONY_WEBHOOK_SECRET=SECRET)
    app.register_blueprint(webhooks_blueprint(telephony))

    @telephony.on(CallEvent, call_id="id-1")
    def each(event):
        g.mine = getattr(g, "mine", 0) + 1
        told((event.name, event.call.call_id, current_app.name, g.mine))

    @telephony.on(CallEvent, call_id="id-2")
    def other(event):
        told("other")

    @telephony.on(CallAnswered)
    def second(event):
        assert not hasattr(g, "mine")

    assert (200, {"success": True}) == post(app, "/telephony/events", frame())
    assert (200, {"success": True, "duplicate": True}) == post(app, "/telephony/events", frame())
    assert ("call_answered", "id-1", "shop", 1) == told.next()
    pressed = frame("dtmf_received", digits="1")
    for delivery in ("a", "a", "b"):
        post(app, "/telephony/events", pressed, **{"X-Delivery-Id": delivery})
    assert 2 == len([told.next(), told.next()])
    assert told.empty()


def test_incoming_calls_are_not_for_web_processes_by_webhook_either(make):
    """They would compete with the one that listens."""
    telephony, told = Telephony(), Recorded()
    telephony.on(CallIncoming, told)
    for inbound in (False, True):
        app, _ = make(
            None, telephony, TELEPHONY_WEBHOOK_SECRET=SECRET, TELEPHONY_INBOUND=inbound
        )
        app.register_blueprint(webhooks_blueprint(telephony))
        assert 200 == post(app, "/telephony/events", frame("call_incoming"))[0]
        assert inbound is not told.empty()


def test_callbacks_that_fail_are_called_again(make, caplog):
    """500; the others are called all the same."""
    telephony, told, failures = Telephony(), Recorded(), [LookupError("one"), LookupError("two")]
    app, _ = make(None, telephony, TELEPHONY_WEBHOOK_SECRET=SECRET)
    app.register_blueprint(webhooks_blueprint(telephony))

    def fail(event):
        if failures:
            raise failures.pop()

    telephony.on(CallAnswered, fail)
    telephony.on(CallAnswered, lambda event: fail(event))
    telephony.on(CallAnswered, told)
    assert 500 == post(app, "/telephony/events", frame())[0]
    assert "LookupError: one" in caplog.text and "LookupError: two" in caplog.text
    assert (200, {"success": True}) == post(app, "/telephony/events", frame())
    assert 2 == len([told.next(), told.next()])


def test_commands_of_an_events_call(cm, make):
    """They connect the process's client if need be; its own calls are its own."""
    telephony = Telephony()
    app, _ = make(cm, telephony, TELEPHONY_WEBHOOK_SECRET=SECRET)
    other, dialler = make(cm)
    calls = Recorded()
    app.register_blueprint(webhooks_blueprint(telephony, on_event=lambda e: calls(e.call)))
    mine = dialler.client.dial(**DIAL)
    assert 200 == post(app, "/telephony/events", frame(callid=mine.call_id, appid=cm.app_id))[0]
    assert 1 == len(registered(cm))  # reading it needs no connection
    with pytest.raises(CallNotFoundError):  # it is for the one that dialled
        calls.next().send_dtmf("1")
    assert mine.call_id == cm.wait_for_command("send_dtmf")["callid"]
    assert 2 == len(registered(cm))
    own = telephony.client.dial(**{**DIAL, "uid": "101"})
    assert 200 == post(app, "/telephony/events", frame(callid=own.call_id, appid=cm.app_id))[0]
    assert own is calls.next()


def test_lookups(make):
    """The channel as the gateway reads it, which nothing in between may keep; 404 for none."""
    telephony = Telephony()
    app, _ = make(None, telephony, TELEPHONY_WEBHOOK_SECRET=SECRET)
    app.register_blueprint(webhooks_blueprint(telephony, url_prefix="/gateway"))
    asked = {"action": "lookup", "did": "1800", "pin": "", "callerid": "1555", "callid": "id-1"}
    assert 404 == post(app, "/gateway/lookup", asked)[0]

    @telephony.lookup
    def find(lookup):
        assert "shop" == current_app.name
        if lookup.caller_id == "1555":
            return Channel(token=RTC_TOKEN, uid=7, channel=f"did-{lookup.did}", app_id="APP")
        return None

    expected = {"token": RTC_TOKEN, "uid": "7", "channel": "did-1800", "appid": "APP"}
    assert (200, expected) == post(app, "/gateway/lookup", asked)
    assert 404 == post(app, "/gateway/lookup", {**asked, "callerid": "1556"})[0]
    reply = app.test_client().post(
        "/gateway/lookup", json=asked, headers={"Authorization": SECRET}
    )
    assert "no-store" == reply.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/telephony/events", "/telephony/lookup"])
def test_who_is_refused(make, caplog, path):
    """Without a secret everybody, with one who does not say it; who sends too much or no JSON."""
    app, telephony = make(None)
    told = Recorded()
    app.register_blueprint(webhooks_blueprint(telephony, on_event=told, lookup=told))
    assert 403 == post(app, path, frame())[0]
    assert 403 == post(app, path, frame(), None)[0]
    assert ["webhooks are refused: TELEPHONY_WEBHOOK_SECRET is not set"] == caplog.messages
    app, telephony = make(None, TELEPHONY_WEBHOOK_SECRET=SECRET)
    app.register_blueprint(webhooks_blueprint(telephony, on_event=told, lookup=told, max_body=300))
    assert 401 == post(app, path, frame(), None)[0]
    assert 401 == post(app, path, frame(), "Bearer other")[0]
    assert 413 == post(app, path, b"x" * 301)[0]
    assert 400 == post(app, path, b"x" * 300)[0]
    assert 405 == app.test_client().get(path, headers={"Authorization": SECRET}).status_code
    assert told.empty()


class Endless:
    """A body without an end, which counts what is read of it."""

    def __init__(self):
        self.bytes = 0

    def read(self, size=-1):
        assert size > 0, "read to the end"
        size = min(size, 100)
        self.bytes += size
        return b"x" * size


@pytest.mark.parametrize("secret, status, most", [(SECRET, 413, 301), ("Bearer other", 401, 0)])
def test_a_chunked_body_is_read_to_the_limit_and_no_further(make, secret, status, most):
    """And not at all for a stranger."""
    app, telephony = make(None, TELEPHONY_WEBHOOK_SECRET=SECRET)
    app.register_blueprint(webhooks_blueprint(telephony, max_body=300))
    body = Endless()
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "REQUEST_METHOD": "POST"}
    reply = app.test_client().open(
        "/telephony/events", headers={"Authorization": secret}, environ_overrides=environ
    )
    assert (status, most) == (reply.status_code, body.bytes)


def test_without_the_extension():
    """The blueprint does with a function alone, and a secret of its own."""
    app, told = Flask("shop"), Recorded()
    app.register_blueprint(webhooks_blueprint(on_event=told, secret=SECRET, name="hooks"))
    assert 200 == post(app, "/telephony/events", frame("dtmf_received", digits="1"))[0]
    assert "1" == told.next().digits
    assert 404 == post(app, "/telephony/lookup", {"did": "1800"})[0]


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({}, "on_event is needed"),
        ({"telephony": Flask("x")}, "telephony must be a Telephony or None, not Flask"),
        ({"on_event": 5}, "on_event must be a function"),
        ({"on_event": print, "lookup": 5}, "lookup must be a function"),
        ({"on_event": print, "max_body": 0}, "max_body must be a whole number"),
        ({"on_event": print, "secret": " x"}, "secret must be one line"),
        ({"on_event": print, "seen": 1}, "seen must have"),
    ],
)
def test_what_the_blueprint_cannot_be_given(arguments, says):
    """It is said where it is made."""
    with pytest.raises(InvalidArgumentError, match=says):
        webhooks_blueprint(**arguments)


# --- processes -----------------------------------------------------------------------------------

APP = """
    import os, sys
    from flask import Flask
    from telephony import CallHangup, CallIncoming
    from telephony.contrib.flask import Telephony

    app = Flask(__name__)
    telephony = Telephony(app)
    DIAL = dict(to="+18005551234", from_="+15551234567", channel="room", region="AREA_CODE_NA",
                token="rtc-token-1")
"""


@pytest.fixture
def run(cm, tmp_path):
    """Writes an app with *more* at its end and runs it: with ``python``, or with a command."""
    programs = []

    def begin(more="", *command, **variables):
        (tmp_path / "app.py").write_text(textwrap.dedent(APP) + textwrap.dedent(more))
        command = command or (sys.executable, "app.py")
        env = account(cm, PYTHONUNBUFFERED="1", PYTHONPATH=":".join(filter(None, sys.path)))
        program = Program(command, {**env, **variables}, cwd=tmp_path)
        programs.append(program.__enter__())
        return program

    yield begin
    for program in programs:
        program.interrupt(signal.SIGINT)  # a reloader ends the other process then
        program.ended(SECONDS)
        program.__exit__(None, None, None)


FLASK = (sys.executable, "-m", "flask", "--app", "app")


def test_a_forked_child_has_its_own(cm, run):
    """Callbacks are kept, the parent's connection is left alone, each closes its own at exit."""
    program = run(
        """
        import threading
        ended = threading.Event()

        @telephony.on(CallHangup)
        def over(event):
            ended.set()

        def a_call(uid):
            telephony.client.dial(uid=uid, **DIAL).hangup()
            assert ended.wait(30)
            ended.clear()

        app.config["TELEPHONY_HANGUP_AT_EXIT"] = True
        a_call("1")
        import warnings
        warnings.filterwarnings("ignore", ".*multi-threaded.*", DeprecationWarning)
        pid = os.fork()
        a_call("2" if pid else "3")
        telephony.client.dial(uid="4" if pid else "5", **DIAL)
        if pid:
            assert 0 == os.waitpid(pid, 0)[1]
            assert telephony.client.connected
            a_call("6")
        sys.exit(0)
        """
    )
    code, lines = program.finish()
    assert (0, "") == (code, program.stderr)
    assert 2 == len(set(registered(cm))) == len(registered(cm))
    assert 6 == len(cm.calls)
    assert {"endcall"} == {call.ended_by for call in cm.calls}


@pytest.mark.parametrize("hangup, ended_by", [("True", "endcall"), ("False", None)])
def test_at_exit(cm, run, hangup, ended_by):
    """It is closed, and its calls are hung up if that was asked for."""
    program = run(
        f"""
        app.config["TELEPHONY_HANGUP_AT_EXIT"] = {hangup}
        telephony.client.dial(uid="1", **DIAL)
        """
    )
    assert 0 == program.finish()[0]
    assert "" == program.stderr
    assert [ended_by] == [call.ended_by for call in cm.calls]


def test_importing_an_app_needs_nothing(run):
    """No account, no network."""
    program = run("print('imported')", CM_HOST="", AUTH_TOKEN="", APPID="")
    assert (0, ["imported"]) == program.finish()


def test_the_reloaders_parent_makes_no_connection(cm, run, tmp_path):
    """An app that connects eagerly does so once: in the process that serves."""
    program = run(
        """
        telephony.connect()
        print("imported in", os.environ.get("WERKZEUG_RUN_MAIN"), flush=True)

        @app.get("/")
        def name():
            return telephony.client.options.client_id
        """,
        "bash", "-c", f"exec {' '.join(FLASK)} run --debug --port 0 2>&1",
    )  # fmt: skip
    said = [program.line()]
    while "Running on" not in said[-1]:
        said.append(program.line())
    url = said[-1].split("Running on ")[1].split()[0]
    while "Debugger is active" not in said[-1]:
        said.append(program.line())
    assert ["imported in None", "imported in true"] == [s for s in said if "imported" in s]
    cm.wait_for_command("register", SECONDS)  # no request was needed
    with urllib.request.urlopen(url, timeout=SECONDS) as reply:
        name = reply.read().decode()
    assert [name] == registered(cm)
    program.interrupt(signal.SIGINT)


def test_without_the_reloader_eager_is_eager(cm, run):
    """There is no other process to leave it to."""
    program = run(
        "telephony.connect()",
        "bash", "-c", f"exec {' '.join(FLASK)} run --debug --no-reload --port 0 2>&1",
    )  # fmt: skip
    while "Running on" not in program.line():
        pass
    assert 1 == len(registered(cm))
    program.interrupt(signal.SIGINT)


ANSWERS = """
    @telephony.on(CallIncoming)
    def answer(event):
        event.call.accept(token="rtc-token-1", channel="support", uid="200")
        print("answered", flush=True)
"""


@pytest.mark.parametrize("eager", ["", "\n    telephony.connect()"])
def test_the_process_that_listens(cm, run, eager):
    """It answers, also where the app's module connects, and ends well on SIGTERM."""
    program = run(ANSWERS + eager, *FLASK, "telephony", "listen")
    assert program.line().startswith("listening as cli-test-")
    assert cm.incoming(to="+18005550001", from_="+15559876543").wait_accepted(SECONDS)
    assert "answered" == program.line()
    program.interrupt(signal.SIGTERM)
    assert 0 == program.finish()[0]
    assert "" == program.stderr
    assert 1 == len(registered(cm))


def test_listening_that_cannot_be(cm, run):
    """Nobody to answer; no account; wrong credentials. One line each."""
    program = run("", *FLASK, "telephony", "listen")
    assert 1 == program.finish()[0]
    assert program.stderr.startswith("Error: no callback is registered for CallIncoming")
    program = run(ANSWERS, *FLASK, "telephony", "listen", APPID="")
    assert 1 == program.finish()[0]
    assert "Error: the app's configuration lacks TELEPHONY_APP_ID" in program.stderr
    program = run(ANSWERS, *FLASK, "telephony", "listen", AUTH_TOKEN="Basic wrong")
    assert 1 == program.finish()[0]
    assert program.stderr.startswith("Error: ") and "Traceback" not in program.stderr
    assert "wrong" not in program.stderr


def test_without_the_package():
    """One clear error that says what to install."""
    program = "import sys; sys.modules['flask'] = None\nimport telephony.contrib.flask"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 1 == ended.returncode
    last = ended.stderr.splitlines()[-1]
    assert 'needs Flask: pip install "agora-telephony[flask]"' in last
