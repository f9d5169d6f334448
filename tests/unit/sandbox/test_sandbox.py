"""The sandbox itself: its settings, its thread, its sockets, its words to users."""

from __future__ import annotations

import ast
import builtins
import pathlib
import ssl
import subprocess
import sys
import threading

import pytest
import trustme

import telephony.sandbox
from telephony.errors import InvalidArgumentError
from telephony.sandbox import (
    DEFAULT_APP_ID,
    DEFAULT_AUTH_TOKEN,
    DialScript,
    Sandbox,
    SandboxNotRunningError,
)
from tests.conftest import DIAL
from tests.scripted import SECONDS
from tests.unit.sandbox.phone import Phone, request


def test_start_and_stop():
    """Starting and stopping twice is as good as once, and it comes back on the same port."""
    cm = Sandbox()
    assert 0 == cm.port
    assert cm is cm.start()
    url = cm.url
    assert f"ws://127.0.0.1:{cm.port}/v1/ws/events" == url
    assert f"http://127.0.0.1:{cm.port}" == cm.http_url
    cm.start()
    assert url == cm.url
    cm.stop()
    cm.stop()
    with cm:
        assert url == cm.url
        assert 200 == request(cm, "GET", "/v1/api/websocket-status")[0]


def test_stopping_with_everything_open(sandbox):
    """Clients, calls and held lookups do not keep it from stopping."""
    cm = sandbox()
    line = Phone(cm)
    line.bridged_call()
    caller = cm.incoming(to="+1800", from_="1")
    cm.stop()
    assert "SYSTEM_SHUTDOWN" == caller.wait_ended(timeout=1)
    line.wait_closed()
    line.close()


def test_not_running():
    """What needs a running sandbox says so; scripts and faults can be set before."""
    cm = Sandbox()
    cm.script_dial("busy")
    cm.refuse("no")
    cm.clear_faults()
    assert [] == cm.frames
    for ask in (
        lambda: cm.send({}),
        lambda: cm.url,
        lambda: cm.http_url,
        lambda: cm.calls,
        lambda: cm.incoming("1", "2"),
        lambda: cm.peer("x"),
        cm.drop_connections,
        cm.client,
    ):
        with pytest.raises(SandboxNotRunningError, match="start"):
            ask()


def test_a_port_that_is_taken(cm):
    """A port that cannot be had is an OSError, and leaves nothing behind."""
    other = Sandbox(port=cm.port)
    with pytest.raises(OSError):
        other.start()
    other.stop()


def test_the_port_that_was_asked_for(cm):
    """A given port is used."""
    port = cm.port
    cm.stop()
    with Sandbox(port=port) as other:
        assert port == other.port


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_open_to_others_needs_a_token(host):
    """Nobody opens a sandbox to the network with the token everybody knows."""
    with pytest.raises(InvalidArgumentError, match="auth_token"):
        Sandbox(host)
    with pytest.raises(InvalidArgumentError, match="tokens"):
        Sandbox(host, auth_token="Basic own", tokens={"a": DEFAULT_AUTH_TOKEN})


def test_open_to_others():
    """With a token of one's own it listens everywhere, and its URL works here."""
    with Sandbox("0.0.0.0", auth_token="Basic own") as cm:
        assert cm.url.startswith("ws://127.0.0.1:")
        Phone(cm).close()


def test_loopback_names():
    """localhost and the IPv6 loopback are loopback."""
    with Sandbox("localhost") as cm:
        assert cm.url.startswith("ws://localhost:")
    try:
        with Sandbox("::1") as cm:
            assert cm.url.startswith("ws://[::1]:")
            Phone(cm).close()
    except OSError:
        pytest.skip("no IPv6 here")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"auth_token": " "}, "auth_token"),
        ({"auth_token": None}, "auth_token"),
        ({"tokens": {"a": ""}}, "tokens"),
        ({"app_ids": []}, "app_ids"),
        ({"app_ids": [""]}, "app_ids"),
        ({"app_ids": "MULTI"}, "app_ids"),
        ({"app_ids": "a", "dids": {"b": ["1"]}}, "'b'"),
        ({"app_ids": "a", "tokens": {"b": "t"}}, "'b'"),
        ({"dids": ["nobody"]}, "dids"),
        ({"dtmf_echo": "loud"}, "dtmf_echo"),
        ({"respond": "never"}, "respond"),
        ({"time_scale": 0}, "time_scale"),
        ({"time_scale": float("inf")}, "time_scale"),
        ({"lookup_hold": -1}, "lookup_hold"),
        ({"cm_hold": 0}, "cm_hold"),
        ({"ping_interval": 0}, "ping_interval"),
        ({"port": 65536}, "port"),
        ({"port": "80"}, "port"),
        ({"ping_timeout": float("nan")}, "ping_timeout"),
        ({"register_timeout": 0}, "register_timeout"),
    ],
)
def test_settings_are_checked(options, named):
    """What makes no sense is refused before anything listens, and named."""
    with pytest.raises(InvalidArgumentError, match=named):
        Sandbox(**options)


def test_app_ids():
    """One App ID or several; what other options name is served when nothing is said."""
    assert ("x",) == Sandbox(app_ids="x").app_ids
    assert ("x", "y") == Sandbox(app_ids=["x", "y", "x"]).app_ids
    assert ("t", "d") == Sandbox(tokens={"t": "1"}, dids={"d": "+1"}).app_ids
    assert "x" == Sandbox(app_ids=iter("xy")).app_id


def test_without_aiohttp(monkeypatch):
    """What is missing, and how to get it, is said when a sandbox is made."""
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "aiohttp":
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "agora-telephony\[sandbox\]"'):
        Sandbox()


def test_importing_without_aiohttp():
    """Importing the sandbox asks for nothing; only making one does."""
    program = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "from telephony.sandbox import Sandbox\n"
        "try: Sandbox()\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    expected = 'the sandbox needs aiohttp: pip install "agora-telephony[sandbox]"\n'
    assert (expected, "") == (done.stdout, done.stderr)


def test_tls(phone):
    """It can be served over TLS."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    with Sandbox("localhost", ssl_context=server, time_scale=100) as cm:
        assert cm.url.startswith("wss://localhost:")
        assert cm.http_url.startswith("https://localhost:")
        line = Phone(cm, sslopt={"context": client})
        line.bridged_call()
        line.close()


def test_a_call_nobody_knows(cm):
    """The far end of no call cannot be had."""
    for call in ("nowhere", "", None, object()):
        with pytest.raises(InvalidArgumentError, match="call"):
            cm.peer(call)


def test_peer_of_anything_with_a_call_id(cm, phone):
    """The far end is found by a call object, or by an id, also when the call is over."""

    class Call:
        call_id = phone(cm).dial()

    cm.peer(Call()).hang_up()
    assert cm.peer(Call.call_id).ended


def test_nothing_secret_in_reprs(sandbox, phone):
    """No token shows in what is printed."""
    cm = sandbox(auth_token="Basic secret-one", tokens={"a": "Basic secret-two"})
    phone(cm, auth_token="Basic secret-two")
    caller = cm.incoming(to="1", from_="2")
    shown = " ".join(map(repr, (cm, cm._settings, caller, cm.calls)))
    assert "secret" not in shown
    assert caller.call_id in shown


def test_many_threads(cm, phone):
    """Everything may be called from anywhere at once."""
    lines = [phone(cm, f"client-{number}") for number in range(4)]
    failures = []

    def work(number):
        try:
            for _ in range(25):
                caller = cm.incoming(to=f"+1{number}", from_="1")
                cm.script_dial("busy", to=f"+9{number}")
                assert not caller.ended
                caller.hang_up()
                assert cm.peer(caller.call_id).ended
                assert cm.calls
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    for line in lines:
        assert 200 == len(line.events_until_now())


def test_on_its_own_thread(cm):
    """What runs on the sandbox's thread may ask the sandbox, too."""
    assert [] == cm.run(lambda: cm.calls)


def test_ended_calls_are_forgotten_at_last(cm, monkeypatch):
    """A sandbox that runs for weeks keeps the newest ended calls only."""
    switch = cm._server().switch
    switch._ended = type(switch._ended)(maxlen=3)
    monkeypatch.setattr("telephony.sandbox.switch.KEPT_CALLS", 3)
    callers = [cm.incoming(to="1", from_="2") for _ in range(5)]
    assert [caller.call_id for caller in callers[2:]] == [call.call_id for call in cm.calls]
    with pytest.raises(InvalidArgumentError):
        cm.peer(callers[0].call_id)


def test_it_reads_the_wire_by_itself():
    """No module of the sandbox imports the client's reading of the protocol."""
    found = set()
    for path in pathlib.Path(telephony.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                found.add(node.module)
            elif isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
    ours = {name for name in found if name.startswith("telephony")}
    allowed = {"telephony.errors"} | {f"telephony.{name}" for name in ("client", "call", "config")}
    assert set() == {n for n in ours - allowed if not n.startswith("telephony.sandbox")}


def test_who_it_serves_unless_it_is_told():
    """One App ID, opened by one token."""
    sandbox = Sandbox()
    assert ((DEFAULT_APP_ID,), DEFAULT_AUTH_TOKEN) == (sandbox.app_ids, sandbox.auth_token)


def test_a_script_that_makes_no_sense():
    """It is refused where it is written, whoever writes it."""
    for wrong in ({"outcome": "asleep"}, {"respond": "late"}, {"direction": "up"}, {"ring": -1}):
        with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
            DialScript(**wrong)


def test_one_did_is_no_list_of_characters(sandbox):
    """A DID may be given by itself."""
    cm = sandbox(dids="+1800")
    assert "UNALLOCATED_NUMBER" == cm.incoming(to="+1801", from_="1").wait_ended(timeout=1)
    assert cm.incoming(to="+1800", from_="1").ended  # nobody is there to take it


def test_stopped_while_it_is_asked(cm):
    """What was asked of it comes to nothing, and that is said."""
    far_end, thread = cm.incoming(to="+1", from_="1"), cm._running
    with pytest.raises(SandboxNotRunningError, match="start"):
        Sandbox().run(len, "")
    cm.stop()
    cm._running = thread  # as a thread sees it that asks at this moment
    try:
        with pytest.raises(SandboxNotRunningError, match="meanwhile"):
            far_end.hang_up()
    finally:
        cm._running = None


def test_what_a_step_raises_is_the_askers(cm):
    """Also an error of the kind that a stopped loop raises; and a step may ask for steps."""
    def fail():
        raise RuntimeError("its own")

    with pytest.raises(RuntimeError, match="its own"):
        cm.run(fail)
    assert 3 == cm.run(lambda: cm.run(len, "abc"))


def test_as_new_for_the_next_test(cm, client):
    """Calls are over, and nothing of before is known; the client stays connected."""
    call = client.dial(**DIAL)
    cm.script_dial("busy")
    cm.refuse("no more", action="send_dtmf")
    cm.reset()
    assert "SYSTEM_SHUTDOWN" == call.wait_ended(SECONDS).hangup_cause
    assert [] == cm.calls == cm.frames
    again = client.dial(**DIAL)
    again.send_dtmf("1")
    assert "send_dtmf" == cm.wait_for_command("send_dtmf")["action"]
    assert 0 == client.health().reconnects
