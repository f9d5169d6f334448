"""Every message in README.rst's troubleshooting table is what a user really gets to read.

Each is brought about as its row says, mostly by the sandbox. A message that nothing here brings
about fails.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from typing import Any, Callable, Iterator

import pytest
import trustme

from telephony import Client, Disconnected, TelephonyError
from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.docs.rst import README, read, tables
from tests.docs.web import free_port
from tests.scripted import Recorded, Running, ScriptedCM

SECONDS = 30.0
MESSAGES = tables(read(README)[0])["troubleshooting"].first
PRODUCERS: dict[str, Callable[[Sandbox], Any]] = {}
Producer = Callable[[Sandbox], Any]


def says(message: str) -> Callable[[Producer], Producer]:
    """The function raises (or returns) the error whose message is this one."""

    def add(produce: Producer) -> Producer:
        assert message not in PRODUCERS
        PRODUCERS[message] = produce
        return produce

    return add


def client_of(url: str, **options: Any) -> Client:
    """A client whom no proxy of the environment's stands in the way."""
    return Client(url, "Basic c2VjcmV0LXRva2Vu", None, "APP", **{"proxy": False, **options})


class HttpServer:
    """Answers one request, whatever it is, with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        asking, _ = self._listening.accept()
        with asking:
            asking.recv(65536)
            asking.sendall(self._answer)

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(SECONDS)
        self._listening.close()


def status(code: int) -> HttpServer:
    return HttpServer(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % code)


def bridged(client: Client) -> Any:
    """A call of this connected client, in a channel."""
    call = client.dial(**DIAL)
    call.wait_bridged(SECONDS)
    return call


# --- before anything is sent -------------------------------------------------------------


@says("CM_HOST (…), AUTH_TOKEN (…), APPID (…) must be set in the environment")
def nothing_set(cm: Sandbox) -> None:
    Client.from_env()


@says("url is cleartext (ws://) to …")
def cleartext(cm: Sandbox) -> None:
    client_of("ws://example.com")


@says("token is needed: the client has no token_provider")
def no_token(cm: Sandbox) -> None:
    with cm.client() as client:
        client.dial(**{**DIAL, "token": None})


@says("app_id is needed: the client was made for MULTI …")
def no_app_id(cm: Sandbox) -> None:
    with cm.client(app_id="MULTI") as client:
        client.dial(**DIAL)


@says("not connected (idle): … was not sent; call connect() first")
def never_connected(cm: Sandbox) -> None:
    cm.client().dial(**DIAL)


@says("not connected (reconnecting): … was not sent; try again when it is")
def reconnecting(cm: Sandbox) -> None:
    with cm.client() as client:
        gone = Recorded()
        client.on(Disconnected, gone)
        cm.silence()  # so that there is time: nobody is let in
        cm.drop_connections()
        gone.next()
        client.dial(**DIAL)


@says("the client was closed: make a new one")
def closed(cm: Sandbox) -> None:
    client = cm.client()
    client.close()
    client.connect()


@says("this client belongs to the parent process: call connect() in this one")
def forked(cm: Sandbox) -> Any:
    with cm.client() as client:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                client.calls()
            except TelephonyError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        with os.fdopen(reading) as told:
            return told.read()


# --- connecting --------------------------------------------------------------------------


@says("cannot reach …: the name cannot be resolved …")
def unknown_host(cm: Sandbox) -> None:
    client_of("wss://nowhere.invalid").connect()


@says("cannot reach …: the network failed (Connection refused)")
def nobody_listens(cm: Sandbox) -> None:
    client_of(f"ws://127.0.0.1:{free_port()}").connect()


@says("cannot reach the proxy …")
def no_proxy_there(cm: Sandbox) -> None:
    client_of("wss://example.com", proxy=f"http://127.0.0.1:{free_port()}").connect()


@says("the proxy refused to connect to …: unexpected status: …")
def proxy_refuses(cm: Sandbox) -> None:
    with status(407) as proxy:
        client_of("wss://example.com", proxy=f"http://{proxy.address}").connect()


@says("no TLS connection with …: its certificate is not trusted: …")
def own_certificate(cm: Sandbox) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with Sandbox(ssl_context=context) as secure:
        client_of(secure.url).connect()


@says("no TLS connection with …: TLS failed (…)")
def no_tls(cm: Sandbox) -> None:
    client_of(cm.url.replace("ws:", "wss:")).connect()


@says("no WebSocket connection with …: no answer in the time given")
def silent_server(cm: Sandbox) -> None:
    cm.silence()
    cm.client(connect_timeout=0.2).connect()


@says("the server refused the WebSocket upgrade: unexpected status: …")
def no_call_manager(cm: Sandbox) -> None:
    with status(404) as server:
        client_of(f"ws://{server.address}").connect()


@says("the answer is not HTTP")
def something_else(cm: Sandbox) -> None:
    with HttpServer(b"SSH-2.0-OpenSSH_9.6\r\n") as server:
        client_of(f"ws://{server.address}").connect()


@says("registration failed: unauthorized …")
def wrong_token(cm: Sandbox) -> None:
    cm.client(auth_token="Basic d3Jvbmc=").connect()


@says("registration failed: forbidden …")
def forbidden(cm: Sandbox) -> None:
    with status(403) as server:
        client_of(f"ws://{server.address}").connect()


@says("registration failed: unexpected status: …")
def another_status(cm: Sandbox) -> None:
    with ScriptedCM() as server:
        connecting = Running(server.client().connect)
        line = server.line()
        line.send({"status": "connected", "session_id": "session-1"})
        line.receive("register")
        line.send({"status": "full"})
        connecting.result()


# --- connected ---------------------------------------------------------------------------


@says("connection lost (…) while … was under way: …")
def lost(cm: Sandbox) -> None:
    with cm.client() as client:
        cm.delay(60)
        hanging_up = Running(client.hangup, "some-call")
        cm.wait_for_command("hangup")
        cm.drop_connections()
        hanging_up.result()


def why_disconnected(client: Client, then: Callable[[], object]) -> Any:
    gone = Recorded()
    client.on(Disconnected, gone)
    client.connect()
    try:
        then()
        return gone.next().error
    finally:
        client.close()


@says("connection lost: nothing came from the CM for … s")
def silence(cm: Sandbox) -> Any:
    client = cm.client(reconnect=False, ping_interval=0.1, ping_timeout=0.3)
    return why_disconnected(client, cm.silence)


@says("connection lost: the server closed the connection (1008, policy violation)")
def two_with_one_name(cm: Sandbox) -> Any:
    with_the_same = cm.client(client_id="same", reconnect=False)
    try:
        return why_disconnected(cm.client(client_id="same", reconnect=False), with_the_same.connect)
    finally:
        with_the_same.close()


@says("connection lost: a message is larger than … bytes")
def large_message(cm: Sandbox) -> Any:
    # Its greeting and the answer to its registration are smaller than this.
    client = cm.client(reconnect=False, max_message_size=200)

    def answer_at_length() -> None:
        cm.incoming(to="+18005550001", from_="+15559876543", sip_headers={"X-Long": "x" * 500})

    return why_disconnected(client, answer_at_length)


@says("command timeout: no answer to … within … s: …")
def no_answer(cm: Sandbox) -> None:
    with cm.client() as client:
        cm.delay(60)
        client.hangup("some-call", command_timeout=0.2)


@says("the CM refused …: callid not found …")
def not_found(cm: Sandbox) -> None:
    with cm.client() as client:
        caller = cm.incoming(to="+18005550001", from_="+15559876543")
        caller.hang_up()
        client.accept(caller.call_id, token="t", channel="c", uid="1")


@says("the CM did not place the call: no gateways available …")
def no_gateway(cm: Sandbox) -> None:
    cm.script_dial("no_gateway")
    with cm.client() as client:
        client.dial(**DIAL)


@says("the CM did not place the call: Busy")
def busy(cm: Sandbox) -> None:
    cm.script_dial("busy")
    with cm.client() as client:
        client.dial(**DIAL)


@pytest.mark.parametrize(
    "outcome, reason", [("no_answer", "No Answer"), ("invalid", "Invalid number")]
)
def test_the_row_about_busy_names_the_others_right(cm: Sandbox, outcome: str, reason: str) -> None:
    """It says that two more reasons come the same way; they do, in these words."""
    cm.script_dial(outcome)
    with cm.client() as client, pytest.raises(TelephonyError) as raised:
        client.dial(**DIAL, timeout=1)
    assert f"the CM did not place the call: {reason}" == str(raised.value)
    assert reason in README.read_text("utf-8")


@says("the CM refused …: appid required in MULTI mode …")
def unknown_call_in_multi(cm: Sandbox) -> None:
    with cm.client(app_id="MULTI") as client:
        client.hangup("some-call")


@says("the CM did not place the call: appid not authorized")
def another_app(cm: Sandbox) -> None:
    with cm.client() as client:
        client.dial(**DIAL, app_id="ANOTHER")


# --- re-bridging -------------------------------------------------------------------------

ELSEWHERE = {"token": "t", "channel": "elsewhere", "uid": "2"}


@says("the CM refused rebridge of call …: current channel/uid mismatch …")
def mismatch(cm: Sandbox) -> None:
    with cm.client() as client:
        call = bridged(client)
        where = {"current_channel": "another", "current_uid": "9"}
        client.rebridge(call.call_id, **ELSEWHERE, **where)


@says("the CM refused rebridge of call …: call not bridged; use bridge")
def not_bridged(cm: Sandbox) -> None:
    with cm.client() as client:
        call = bridged(client)
        call.unbridge()
        call.rebridge(**ELSEWHERE)


@says("the CM refused rebridge of call …: rebridge already in progress …")
def two_at_once(cm: Sandbox) -> None:
    with Sandbox() as slow, slow.client() as client:  # joining takes 0.1 s there
        slow.script_dial(ring=0)
        call = bridged(client)
        first = Running(call.rebridge, **ELSEWHERE)
        slow.wait_for_command("rebridge")
        try:
            call.rebridge(**ELSEWHERE)
        finally:
            first.result()


@says("the CM refused rebridge of call …: join failed: …")
def join_failed(cm: Sandbox) -> None:
    cm.fail_rebridge()
    with cm.client() as client:
        bridged(client).rebridge(**ELSEWHERE)


# --- waits -------------------------------------------------------------------------------


@says("call … was not … within … s (it is …)")
def wait_is_over(cm: Sandbox) -> None:
    with cm.client() as client:
        client.dial(**DIAL).wait_for("unbridged", timeout=0)


@says("call … ended (…) and will not be …")
def ended_first(cm: Sandbox) -> None:
    with cm.client() as client:
        call = bridged(client)
        cm.peer(call).hang_up()
        call.wait_for("unbridged", timeout=SECONDS)
        call.wait_for("incoming", timeout=SECONDS)


# --- the tests ---------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither an account nor a proxy from outside."""
    for name in ("CM_HOST", "AUTH_TOKEN", "APPID", "CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    yield


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # of 3.12 on, for threads
def test_message(message: str, cm: Sandbox) -> None:
    """What is in the table is what the error says, the dots standing for anything."""
    assert message in PRODUCERS, "nothing here brings this message about"
    try:
        error = PRODUCERS[message](cm)
    except TelephonyError as raised:
        error = raised
    pattern = ".+".join(map(re.escape, message.split("…")))
    assert re.fullmatch(pattern, str(error), re.DOTALL), str(error)


def test_every_producer_has_its_row() -> None:
    """What the tests know how to bring about is in the table."""
    assert set(PRODUCERS) == set(MESSAGES)
