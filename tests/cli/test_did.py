"""Whose a DID is, asked of Call Managers whose HTTP API answers something else."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from typing import Any, Iterator

import pytest

from telephony import Client
from telephony.cli.did import Finding, Served, ask_who_serves
from telephony.runtime.handshake import Endpoint
from telephony.sandbox import Sandbox
from tests.faults.certificates import client_context, server_context
from tests.scripted import SECONDS

DID = "+18005550100"
STATUS, LOOKUP = "/v1/api/websocket-status", "/v1/api/service"


class Api(http.server.ThreadingHTTPServer):
    """Answers what it is told to; None: hangs up. It is its own proxy, too."""

    def __init__(self, answers: dict[str, tuple[int, Any] | None], secure: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[str] = []
        if secure:
            self.socket = server_context().wrap_socket(self.socket, server_side=True)
        scheme = "wss" if secure else "ws"
        self.endpoint = Endpoint.parse(f"{scheme}://127.0.0.1:{self.server_port}/v1/ws/events")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.answers[self.path]
        if answer is None:
            self.close_connection = True
            return
        status, body = answer
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.headers.get('Proxy-Authorization')}")
        self.send_response(200)
        self.end_headers()
        self.close_connection = False  # what follows is for the other end: this server again

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serving(answers: dict[str, tuple[int, Any] | None], secure: bool = False) -> Iterator[Api]:
    with Api(answers, secure) as api:
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()


@pytest.fixture
def ours(cm: Sandbox) -> Iterator[Client]:
    with cm.client(client_id="ours", subscribe_numbers=[DID], ssl_context=client_context()) as ours:
        yield ours


def found(client: Client, api: Api) -> Finding:
    return ask_who_serves(client, api.endpoint, DID, SECONDS)


def listed(*clients: Any) -> tuple[int, Any]:
    return 200, {"clients": list(clients)}


US = {"client_id": "ours", "subscribed_numbers": [DID]}


@pytest.mark.parametrize("answer", [
    None, (404, {}), (200, []), (200, {"clients": "many"}), listed("ours"),
    listed({"client_id": "ours", "subscribed_numbers": DID}),
])  # fmt: skip
def test_no_list_of_clients(ours: Client, answer: tuple[int, Any] | None) -> None:
    """Then nobody is disturbed by a lookup, and it says how to find out."""
    with serving({STATUS: answer}) as api:
        finding = found(ours, api)
    assert (Served.UNKNOWN, [f"GET {STATUS}"]) == (finding.served, api.asked)
    assert "does not list its clients" in finding.why and f"listen --did {DID}" in finding.why


def test_a_subscription_that_was_not_kept(ours: Client) -> None:
    with serving({STATUS: listed({**US, "subscribed_numbers": ["+18005550199"]})}) as api:
        finding = found(ours, api)
    assert Served.NO == finding.served and "does not list it for this client" in finding.why


@pytest.mark.parametrize("answer, words", [
    (None, "takes no lookup from here"),
    ((503, {}), "answered the lookup with HTTP 503"),
    ((500, {"error": "out of order"}), "answered the lookup with HTTP 500"),
    ((200, {"token": "t"}), "answered the lookup with HTTP 200"),
])  # fmt: skip
def test_a_lookup_that_tells_nothing(
    ours: Client, answer: tuple[int, Any] | None, words: str
) -> None:
    with serving({STATUS: listed(US), LOOKUP: answer}) as api:
        finding = found(ours, api)
    assert Served.UNKNOWN == finding.served and words in finding.why


def test_a_cm_that_does_not_answer(cm: Sandbox) -> None:
    """Not even the subscription."""
    with cm.client(command_timeout=0.2) as client, serving({}) as api:
        cm.silence()
        finding = found(client, api)
        cm.silence(False)
    assert (Served.UNKNOWN, []) == (finding.served, api.asked)


def test_over_tls(ours: Client) -> None:
    """With the certificates that the client trusts."""
    with serving({STATUS: listed(US), LOOKUP: (500, {"error": "not found"})}, secure=True) as api:
        finding = found(ours, api)
    assert Served.NO == finding.served and "no client for calls to it" in finding.why


def test_through_a_proxy(ours: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the one that the client's own connection takes, which is told who asks."""
    with serving({STATUS: listed(US), LOOKUP: (500, {"error": "not found"})}) as api:
        monkeypatch.setenv("http_proxy", f"http://user:hunter2@127.0.0.1:{api.server_port}")
        api.endpoint = Endpoint.parse("ws://cm.example/v1/ws/events")
        finding = found(ours, api)
    assert Served.NO == finding.served
    assert ["CONNECT Basic dXNlcjpodW50ZXIy", f"GET {STATUS}"] == api.asked[:2]
