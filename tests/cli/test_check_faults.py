"""``telephony check`` names each fault, shown by a real server that has it, and what to do."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from telephony.cli import main
from telephony.runtime import connection
from telephony.sandbox import Sandbox
from tests.cli.programs import OURS, SECONDS
from tests.conftest import PATIENT
from tests.faults.certificates import authority, server_context
from tests.faults.slow_peers import (
    CONNECTED,
    REGISTERED,
    answer,
    full_listener,
    greet,
    heard,
    say,
    serve,
)
from tests.unit.runtime.transport_peers import Gone, Peer, Server

TOKEN = "Basic c2VjcmV0LXRva2Vu"
ELSEWHERE = {"CM_HOST": "cm.invalid", "AUTH_TOKEN": TOKEN, "APPID": "app"}
DID = "+18005550100"
#: Seconds for what takes all of them.
PATIENCE = "1"

Checked = Callable[..., tuple[int, str, str, str]]
Run = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run(env, *options): the check's exit code and objects; nothing secret was said."""

    def ran(env: dict[str, str], *options: str) -> tuple[int, list[dict[str, Any]]]:
        for name in OURS:
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        code = main(["check", *options])
        out, err = capsys.readouterr()
        assert TOKEN.split()[1] not in out + err and "hunter2" not in out + err
        return code, [json.loads(line) for line in out.splitlines()]

    return ran


@pytest.fixture
def check(run: Run) -> Checked:
    """check(*options, **variables): exit code, phase, fault and advice."""

    def checked(*options: str, **variables: str) -> tuple[int, str, str, str]:
        code, (*steps, last) = run({**ELSEWHERE, **variables}, *options)
        if not last["ok"]:
            assert (last["phase"], False) == (steps[-1]["phase"], steps[-1]["ok"])
            assert all(step["ok"] for step in steps[:-1])
            assert last["error"] and last["advice"]
        return code, last.get("phase", ""), last.get("fault", ""), last.get("advice", "")

    return checked


# --- the way there ----------------------------------------------------------------------------


def test_name_not_found(check: Checked) -> None:
    code, phase, fault, advice = check()
    assert (1, "dns", "name_not_found") == (code, phase, fault)
    assert "CM_HOST" in advice


def test_connection_refused(check: Checked) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        found = check(CM_HOST=f"ws://127.0.0.1:{taken.getsockname()[1]}")
    assert (1, "tcp", "connection_refused") == found[:3]
    assert "port" in found[3]


def test_packets_that_go_nowhere(check: Checked) -> None:
    with full_listener() as port:
        found = check("--timeout", PATIENCE, CM_HOST=f"ws://127.0.0.1:{port}")
    assert (1, "tcp", "no_answer") == found[:3]
    assert "firewall" in found[3]


@pytest.fixture
def trusted(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that trusts our authority."""
    bundle = tmp_path / "authority.pem"
    authority().cert_pem.write_to_path(str(bundle))
    return {"SSL_CERT_FILE": str(bundle)}


@pytest.mark.parametrize(
    ("kind", "fault", "word"),
    [
        ("unknown authority", "certificate_untrusted", "SSL_CERT_FILE"),
        ("self-signed", "certificate_untrusted", "SSL_CERT_FILE"),
        ("wrong host", "certificate_wrong_name", "CM_HOST"),
        ("expired", "certificate_expired", "renew"),
        ("not yet valid", "certificate_not_yet_valid", "clock"),
    ],
)
def test_certificates(
    check: Checked, kind: str, fault: str, word: str, trusted: dict[str, str]
) -> None:
    with Server(greet, server_context(kind)) as server:
        found = check(CM_HOST=server.url, **trusted)
    assert (1, "tls", fault) == found[:3]
    assert word in found[3]


def test_a_certificate_that_is_well(check: Checked, trusted: dict[str, str]) -> None:
    """The same way with a good one leads to the end."""

    def well(peer: Peer) -> None:
        greet(peer)
        serve(peer)

    with Server(well, server_context()) as server:
        assert 0 == check(CM_HOST=server.url, **trusted)[0]


def test_no_tls_on_the_port(check: Checked, cm: Sandbox) -> None:
    found = check(CM_HOST=f"wss://127.0.0.1:{cm.port}")
    assert (1, "tls", "not_tls") == found[:3]


# --- proxies -----------------------------------------------------------------------------------


def proxy(status: bytes) -> Callable[[Peer], None]:
    """A proxy that answers every request with this."""

    def script(peer: Peer) -> None:
        peer.head()
        peer.send(status)

    return script


@pytest.mark.parametrize(
    ("said", "fault", "word"),
    [
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "proxy_credentials", "USER:PASSWORD"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "proxy_refused", "NO_PROXY"),
        (b"SSH-2.0-OpenSSH_9\r\n", "not_a_proxy", "HTTPS_PROXY"),
    ],
)
def test_proxies_that_do_not_connect(check: Checked, said: bytes, fault: str, word: str) -> None:
    with Server(proxy(said)) as server:
        found = check(https_proxy=f"http://alice:hunter2@127.0.0.1:{server.port}")
    assert (1, "proxy", fault) == found[:3]
    assert word in found[3]


def test_a_proxy_that_is_not_there(check: Checked) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = check(https_proxy=f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert (1, "proxy", "proxy_unreachable") == found[:3]
    assert "HTTPS_PROXY" in found[3]


def test_a_proxy_that_is_none(check: Checked) -> None:
    assert (1, "proxy", "proxy_invalid") == check(https_proxy="socks5://127.0.0.1:1")[:3]


# --- the upgrade ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "fault", "word"),
    [
        (401, "unauthorized", "AUTH_TOKEN"),
        (403, "forbidden", "APPID"),
        (404, "not_found", "/v1/ws/events"),
        (302, "redirected", "CM_HOST"),
        (503, "busy", "later"),
        (418, "not_a_call_manager", "CM_HOST"),
    ],
)
def test_statuses_on_the_upgrade(check: Checked, status: int, fault: str, word: str) -> None:
    with Server(proxy(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)) as server:
        found = check(CM_HOST=server.url)
    assert (1, "upgrade", fault) == found[:3]
    assert word in found[3]


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    """A page for every path, as many web servers have."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: Any) -> None:
            """No word."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(SECONDS)


def test_a_web_server(check: Checked) -> None:
    with web_server() as port:
        found = check(CM_HOST=f"ws://127.0.0.1:{port}")
    assert (1, "upgrade", "not_a_call_manager") == found[:3]


def test_a_server_that_is_not_http(check: Checked) -> None:
    def mail(peer: Peer) -> None:
        peer.send(b"220 mail.example ESMTP\r\n")
        peer.until_gone()

    with Server(mail) as server:
        found = check(CM_HOST=server.url)
    assert (1, "upgrade", "not_a_call_manager") == found[:3]


@pytest.mark.parametrize("grace", [1.0, -0.5])  # the reader gives up first, or who waits for it
def test_a_server_that_says_nothing(
    check: Checked, monkeypatch: pytest.MonkeyPatch, grace: float
) -> None:
    monkeypatch.setattr(connection, "GRACE_SECONDS", grace)
    with Server(Peer.until_gone) as server:
        found = check("--timeout", PATIENCE, CM_HOST=server.url)
    assert (1, "upgrade", "no_answer") == found[:3]


def test_a_server_that_hangs_up(check: Checked) -> None:
    with Server(Peer.head) as server:
        found = check(CM_HOST=server.url)
    assert (1, "upgrade", "closed") == found[:3]


# --- the registration ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "greeting", [b"", say({"hello": "chat"}), say({"status": "welcome"}), say({"error": "who?"})]
)
def test_a_websocket_server_that_is_no_call_manager(check: Checked, greeting: bytes) -> None:
    def chat(peer: Peer) -> None:
        peer.upgrade(greeting)
        peer.until_gone()

    with Server(chat) as server:
        found = check("--timeout", PATIENCE, CM_HOST=server.url)
    assert (1, "register", "not_a_call_manager") == found[:3]


def test_a_registration_that_is_not_answered(check: Checked) -> None:
    def slow(peer: Peer) -> None:
        peer.upgrade(say(CONNECTED))
        peer.until_gone()

    with Server(slow) as server:
        found = check("--timeout", PATIENCE, CM_HOST=server.url)
    assert (1, "register", "not_registered") == found[:3]


def test_a_wrong_app_id(check: Checked, cm: Sandbox) -> None:
    """The token is taken for MULTI, by somebody whom no call is offered to."""
    found = check(CM_HOST=cm.url, AUTH_TOKEN=cm.auth_token, APPID="no-such-app", CLIENT_ID="ours")
    assert (1, "register", "wrong_app_id") == found[:3]
    assert "APPID" in found[3]
    ours, multi = [frame for frame in cm.frames if frame["action"] == "register"]
    assert ("MULTI", ["0"]) == (multi["appid"], multi["subscribe_numbers"])
    assert "ours" == ours["client_id"] != multi["client_id"]


@pytest.mark.parametrize(
    ("token", "seen"),
    [
        ("Basic d3Jvbmc=", "the Call Manager says the same of a wrong token and of a wrong App ID"),
        ("d3Jvbmc=", "AUTH_TOKEN does not begin with 'Basic '"),
        ("'Basic d3Jvbmc='", "AUTH_TOKEN begins with a quotation mark"),
        ("Basic wrong-token!", "what follows 'Basic ' in AUTH_TOKEN is not base64, as it"),
    ],
)
def test_a_wrong_token(check: Checked, cm: Sandbox, token: str, seen: str) -> None:
    """Both are named, as it cannot be known; what can be seen of the token comes first."""
    found = check(CM_HOST=cm.url, AUTH_TOKEN=token, APPID=cm.app_id)
    assert (1, "register", "wrong_credentials") == found[:3]
    assert found[3].startswith(seen)
    assert "AUTH_TOKEN" in found[3] and "APPID" in found[3]


def test_a_call_manager_that_names_the_token(check: Checked, cm: Sandbox) -> None:
    """Its own words go before what we could try."""
    cm.refuse("invalid auth_token", action="register")
    found = check(CM_HOST=cm.url, AUTH_TOKEN=cm.auth_token, APPID=cm.app_id)
    assert (1, "register", "wrong_token") == found[:3]
    assert 1 == len([frame for frame in cm.frames if frame["action"] == "register"])


def test_commands_that_are_not_answered(check: Checked) -> None:
    def deaf(peer: Peer) -> None:
        greet(peer)
        with contextlib.suppress(Gone):
            while heard(peer):
                pass

    with Server(deaf) as server:
        found = check("--timeout", PATIENCE, CM_HOST=server.url)
    assert (1, "command", "no_answer_to_commands") == found[:3]


# --- the DID -------------------------------------------------------------------------------------


def ours(cm: Sandbox, **more: str) -> dict[str, str]:
    """The environment of somebody with an account at the sandbox."""
    return {"CM_HOST": cm.url, "AUTH_TOKEN": cm.auth_token, "APPID": cm.app_id, **more}


def did_step(run: Run, env: dict[str, str], *options: str) -> tuple[int, str, dict[str, Any]]:
    """Exit code, whether the DID is served, and the last object."""
    code, objects = run(env, *options)
    (step,) = [found for found in objects if found.get("phase") == "did" and "served" in found]
    return code, step["served"], objects[-1]


@pytest.fixture
def shop() -> Iterator[Sandbox]:
    """A Call Manager with two App IDs, each with its own DID."""
    dids = {"app-a": [DID], "app-b": ["+18005550199"]}
    with Sandbox(**PATIENT, dids=dids) as sandbox:
        yield sandbox


def test_a_did_that_is_served(run: Run, shop: Sandbox) -> None:
    """A call to it is offered to the client, which rejects it; nothing is left."""
    code, served, last = did_step(run, ours(shop, DID=DID))
    assert (0, "yes", []) == (code, served, last["not_known"])
    assert ["reject"] == [call.ended_by for call in shop.calls]


@pytest.mark.parametrize("did", ["+18005550177", "+18005550199"])
def test_a_did_that_is_not_served(run: Run, shop: Sandbox, did: str) -> None:
    """It is nobody's, or another App ID's."""
    code, served, last = did_step(run, ours(shop), "--did", did)
    assert (1, "no", "did", "did_not_served") == (code, served, last["phase"], last["fault"])
    assert did in last["error"] and "DID" in last["advice"]


def test_other_clients_are_not_disturbed(run: Run, shop: Sandbox) -> None:
    """Where another client could be offered the call none is made, and that is said."""
    with shop.client(client_id="at-work"):
        code, served, last = did_step(run, ours(shop, DID=DID))
    assert (0, "unknown") == (code, served)
    assert "1 more client would be offered a call" in last["not_known"][0]
    assert [] == shop.calls


def test_a_subscription_that_is_refused(run: Run, cm: Sandbox) -> None:
    """By its own words: the requests that are timed are subscriptions, too."""
    cm.refuse("number not assigned", action="register")
    code, (*_, last) = run(ours(cm, DID=DID))
    assert (1, "register", "did_not_served") == (code, last["phase"], last["fault"])
    assert "number not assigned" in last["error"]


def test_a_did_that_cannot_be_subscribed_to(run: Run, cm: Sandbox) -> None:
    """Where the Call Manager says so itself, its words are told."""
    for _ in range(6):  # five that are timed, and the one that is about it
        cm.refuse("number not assigned", action="subscribe")
    code, served, last = did_step(run, ours(cm, DID=DID))
    assert (1, "no", "did_not_served") == (code, served, last["fault"])
    assert "number not assigned" in last["error"]


def test_requests_that_are_refused_are_answered(run: Run, cm: Sandbox) -> None:
    """Without a DID they are only there to be timed."""
    for _ in range(5):
        cm.refuse("not today", action="subscribe")
    code, (*_, last) = run(ours(cm))
    assert (0, 5) == (code, last["latency"]["samples"])


def test_a_call_manager_that_does_not_tell(run: Run) -> None:
    """Without its HTTP side nothing is known of DIDs, and all else may be well."""

    def only_websocket(peer: Peer) -> None:
        peer.request = peer.head()
        if b"Upgrade" not in peer.request:
            peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
            return
        peer.send(peer.accept_response() + say(CONNECTED))
        heard(peer)
        peer.send(say(REGISTERED))
        while command := heard(peer):
            peer.send(answer(command))

    with Server(only_websocket) as server:
        env = {**ELSEWHERE, "CM_HOST": server.url, "DID": DID}
        code, served, last = did_step(run, env)
    assert (0, "unknown") == (code, served)
    assert "does not list its clients" in last["not_known"][0]
