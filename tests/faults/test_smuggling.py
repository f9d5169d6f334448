"""Promise 11: no header, URL, number or other argument can smuggle a line.

What goes into the upgrade request is refused where it holds a line break or another control
character, before a connection is made. What goes into commands is refused too, or is text that
may be any: then it arrives as it was given, inside of one JSON frame.
"""

from __future__ import annotations

import pytest

from telephony import Client, ConnectError, InvalidArgumentError
from tests.conftest import DIAL
from tests.regression.conftest import JOIN, answered
from tests.scripted import Running
from tests.unit.runtime.transport_peers import Peer, Server

SECRET = "s3cr3t-canary"
BREAKS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x7f"]
CLIENT = {"url": "ws://127.0.0.1:9", "auth_token": "Basic token", "client_id": "client-1",
          "app_id": "APP"}


@pytest.fixture(params=BREAKS, ids=ascii)
def smuggled(request: pytest.FixtureRequest) -> str:
    """What could be a second line, somewhere."""
    return f"{SECRET}{request.param}X-Injected: y"


def refused(fn, *args, shown: bool = False, **kwargs) -> None:
    """It is, in one line, and without what may be a secret unless it may be *shown*."""
    with pytest.raises(InvalidArgumentError) as caught:
        fn(*args, **kwargs)
    text = str(caught.value)
    assert text.isprintable()
    assert shown or SECRET not in text


@pytest.mark.parametrize("name", ["auth_token", "client_id", "app_id"])
def test_the_names_of_a_client(name, smuggled):
    """Each is refused by its name."""
    refused(Client, **{**CLIENT, name: smuggled})


@pytest.mark.parametrize("url", [
    "ws://127.0.0.1{}", "ws://127.0.0.1/{}", "ws://127.0.0.1/?a={}", "wss://{}.example",
    "wss://cm.example:{}", "{}", "ws://user:{}@127.0.0.1",
])
def test_urls(url, smuggled):
    """No part of it may hold one."""
    refused(Client, **{**CLIENT, "url": url.format(smuggled)})


@pytest.mark.parametrize("url", ["ws://127.0.0.1/\u2028X: y", "ws://127.0.0.1/\x85", "ws://a b"])
def test_urls_with_other_space(url):
    """Unicode has more line breaks than ASCII."""
    refused(Client, **{**CLIENT, "url": url})


def test_percent_signs_in_a_url():
    """They stay what they are, in the request too: it has no line more than another one."""
    requests = []

    def script(peer: Peer) -> None:
        requests.append(peer.head())
        peer.send(b"HTTP/1.1 404 Not Found\r\n\r\n")

    with Server(script) as server:
        for path in ("/plain", "/%0d%0aX-Injected:%20y?a=%0d%0aX-Injected:%20y"):
            client = Client(**{**CLIENT, "url": f"ws://127.0.0.1:{server.port}{path}"})
            with pytest.raises(ConnectError):
                client.connect()
            client.close()
    plain, odd = (request.split(b"\r\n") for request in requests)
    assert len(plain) == len(odd)
    assert b"GET /%0d%0aX-Injected:%20y?a=%0d%0aX-Injected:%20y HTTP/1.1" == odd[0]


@pytest.mark.parametrize("proxy", [
    "http://127.0.0.1:9{}", "http://{}", "http://u:{}@127.0.0.1:9", "http://127.0.0.1:9/{}",
])
def test_proxies(proxy, smuggled):
    """The proxy's URL goes into a request of its own."""
    refused(Client, **CLIENT, proxy=proxy.format(smuggled))


@pytest.mark.parametrize("where", ["name", "value"])
def test_headers(where, smuggled):
    """Neither name nor value."""
    refused(Client, **CLIENT, headers={smuggled: "a"} if where == "name" else {"A": smuggled})


@pytest.mark.parametrize("name", ["Connection", "Upgrade", "Sec-WebSocket-Key", "A:", "A B", ""])
def test_headers_that_break_the_upgrade(name):
    """They are refused when the client is made, not when it connects."""
    refused(Client, **CLIENT, headers={name: "a"})


@pytest.mark.parametrize("value", ["\x85X: y", "\u2028X: y", "\ud800"])
def test_header_values_that_some_read_as_lines(value):
    """Unicode has more line breaks than ASCII."""
    refused(Client, **CLIENT, headers={"A": value})


def test_subscribed_numbers(smuggled):
    """When the client is made."""
    refused(Client, **CLIENT, subscribe_numbers=["+1800", smuggled])


# --- commands ----------------------------------------------------------------------------

DIALLED = [*DIAL, "timeout", "sip", "sip_domain", "app_id", "sdk_options", "audio_scenario",
           "prompt", "webhook_url"]
JOINED = [*JOIN, "app_id", "sdk_options", "audio_scenario"]


def test_no_argument_of_a_command(scripted, smuggled):
    """All of them are refused before anything is sent."""
    client, line = scripted.connected()
    call = answered(client, line)
    for name in DIALLED:
        refused(client.dial, **{**DIAL, name: smuggled}, shown=True)
    for method in (client.accept, client.bridge):
        for name in JOINED:
            refused(method, "call-1", **{**JOIN, name: smuggled}, shown=True)
        refused(method, smuggled, shown=True, **JOIN)
    for name in JOINED:
        refused(client.rebridge, "call-1", **{**JOIN, name: smuggled}, shown=True)
    for method in (client.reject, client.hangup, client.unbridge):
        refused(method, smuggled, shown=True)
    refused(client.send_dtmf, "call-1", smuggled, shown=True)
    refused(client.send_dtmf, smuggled, "1", shown=True)
    refused(client.transfer, "call-1", smuggled, shown=True)
    refused(client.transfer, "call-1", "+1800", smuggled, shown=True)
    refused(client.subscribe, ["+1800", smuggled], shown=True)
    refused(client.command, smuggled, shown=True)
    refused(call.send_dtmf, smuggled, shown=True)
    refused(call.transfer, smuggled, shown=True)
    assert line.nothing_came()
    assert 0 == client.health().in_flight
    assert [call] == client.calls()
    client.close()


def test_what_may_be_any_text(scripted, smuggled):
    """It arrives as it was given, in one frame."""
    client, line = scripted.connected()
    text = smuggled + '\u2028"}{"action":"hangup"}'
    answered(client, line)
    rejecting = Running(client.reject, "call-1", text)
    command = line.receive("reject")
    assert (text, "call-1") == (command["reason"], command["callid"])
    line.answer(command)
    rejecting.result()
    asking = Running(client.command, "ask", words=text, more={"deep": [text]})
    command = line.receive("ask")
    assert (text, {"deep": [text]}) == (command["words"], command["more"])
    line.answer(command)
    asking.result()
    assert line.nothing_came()
    client.close()
