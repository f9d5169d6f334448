"""Options, URLs and the environment: what is taken, and what is refused by its name."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading

import pytest

from telephony import Backoff, Client, InvalidArgumentError

TOKEN = "Basic c2VjcmV0LXRva2Vu"
PATH = "/v1/ws/events"


def make(url="wss://cm.example.org", auth_token=TOKEN, client_id="c-1", app_id="APP", **options):
    return Client(url, auth_token, client_id, app_id, **options)


# --- URLs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, full",
    [
        ("cm.example.org", f"wss://cm.example.org{PATH}"),
        ("cm.example.org/", f"wss://cm.example.org{PATH}"),
        ("cm.example.org:8443", f"wss://cm.example.org:8443{PATH}"),
        ("cm.example.org:8443/", f"wss://cm.example.org:8443{PATH}"),
        ("wss://cm.example.org", f"wss://cm.example.org{PATH}"),
        ("wss://cm.example.org/", f"wss://cm.example.org{PATH}"),
        (f"wss://cm.example.org{PATH}", f"wss://cm.example.org{PATH}"),
        ("wss://cm.example.org/other", "wss://cm.example.org/other"),
        ("cm.example.org/other", "wss://cm.example.org/other"),
        ("wss://cm.example.org?a=b", f"wss://cm.example.org{PATH}?a=b"),
        ("WSS://cm.example.org", f"wss://cm.example.org{PATH}"),
        ("[2001:db8::1]", f"wss://[2001:db8::1]{PATH}"),
        ("wss://[2001:db8::1]:8443", f"wss://[2001:db8::1]:8443{PATH}"),
        ("ws://127.0.0.1:8080", f"ws://127.0.0.1:8080{PATH}"),
        ("ws://127.0.0.2", f"ws://127.0.0.2{PATH}"),
        ("ws://localhost:8080", f"ws://localhost:8080{PATH}"),
        ("ws://LocalHost", f"ws://LocalHost{PATH}"),
        ("ws://[::1]:8080", f"ws://[::1]:8080{PATH}"),
    ],
)
def test_a_url(url, full):
    """A bare host will do; the path is added where there is none."""
    assert full == make(url).options.url


@pytest.mark.parametrize(
    "url",
    [
        "ws://cm.example.org",
        "ws://10.0.0.1:8080",
        "ws://[2001:db8::1]",
        "ws://127.0.0.1.example.org",
        "ws://localhost.example.org",
        "ws://0.0.0.0",
        "WS://cm.example.org",
    ],
)
def test_cleartext_to_another_machine(url):
    """Refused, saying how to insist; taken when one insists."""
    with pytest.raises(InvalidArgumentError, match="^url.*allow_insecure"):
        make(url)
    assert make(url, allow_insecure=True).options.url.startswith("ws://")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "   ",
        None,
        5,
        b"wss://cm.example.org",
        "http://cm.example.org",
        "https://cm.example.org",
        "ftp://cm.example.org",
        "://cm.example.org",
        "wss://",
        "wss:///path",
        "wss://:8443",
        "wss://cm.example.org:0",
        "wss://cm.example.org:99999",
        "wss://cm.example.org:port",
        "wss://.example.org",
        "wss://cm..example.org",
        "wss://" + "a" * 70 + ".org",
        "wss://cm.example.org:-1",
        "wss://[::1",
        "wss://cm.example.org/#here",
        "wss://cm example.org",
        " wss://cm.example.org",
        "wss://cm.example.org\r\nX-Evil: 1",
        "wss://cm.example.org/\n",
        "wss://cm.example.org/\x00",
        "/",
        "?",
        "wss://user:pa55word@cm.example.org",
        "user:pa55word@cm.example.org",
        "wss://user@cm.example.org",
        "wss://user:pa55word/x@cm.example.org",
        "wss://user:pa55word#x@cm.example.org",
        "wss://user:pa55word",
    ],
)
@pytest.mark.parametrize("insecure", [False, True])
def test_a_url_that_is_none(url, insecure):
    """Refused by name, before anything is looked up; a password in it is not repeated."""
    with pytest.raises(InvalidArgumentError, match="^url") as caught:
        make(url, allow_insecure=insecure)
    assert "pa55word" not in str(caught.value)
    assert "Evil" not in str(caught.value)


# --- the others ------------------------------------------------------------------------------

BAD_SECONDS = [0, -1, -0.5, float("nan"), float("inf"), 1e300, 10**400, "5", None, True, []]
BAD = [
    *[("allow_insecure", value) for value in ("no", 0, None)],
    *[("auth_token", value) for value in ("", "  ", None, 5, "a\r\nb", b"x")],
    *[("client_id", value) for value in ("", "  ", 5, "a\nb")],
    *[("app_id", value) for value in ("", "  ", None, 5, "a\nb")],
    *[
        (name, value)
        for name in (
            "connect_timeout",
            "command_timeout",
            "dial_timeout",
            "ping_interval",
            "ping_timeout",
            "send_timeout",
            "stale_timeout",
        )
        for value in BAD_SECONDS
    ],
    *[("workers", value) for value in (0, -1, 1.5, "4", None, True)],
    *[("max_message_size", value) for value in (0, -1, 1.5, "4", None)],
    *[("reconnect", value) for value in (None, 5, "yes", Backoff)],
    *[("subscribe_numbers", value) for value in ("+1800", 5, [""], ["+1", None], [5])],
    *[("token_provider", value) for value in ("token", 5)],
    *[("callback_context", value) for value in ("context", contextlib.nullcontext())],
    *[("orphan_policy", value) for value in ("drop", "", None, True)],
    *[("ssl_context", value) for value in (True, "tls", ssl)],
    *[("headers", value) for value in ("X: 1", ["X"], {"X": 1}, {"X": "a\r\nb"}, {"a b": "1"},
                                       {"": "1"}, {"X\n": "1"}, {5: "1"},
                                       {"Connection": "close"}, {"sec-websocket-key": "x"})],
    *[("proxy", value) for value in ("", "proxy:3128", "socks5://proxy", "http://", True, 5,
                                     "http://proxy:port", "http://a..b:3128")],
]


@pytest.mark.parametrize("name, value", BAD, ids=lambda value: f"{value!r:.24}")
def test_an_option_that_is_wrong(name, value):
    """Refused by its name."""
    with pytest.raises(InvalidArgumentError, match=f"^{name}"):
        make(**{name: value})


@pytest.mark.parametrize("name", ["conect_timeout", "url_", "token"])
def test_an_option_there_is_not(name):
    """A misspelt one is named."""
    with pytest.raises(InvalidArgumentError, match=name):
        make(**{name: 5})


@pytest.mark.parametrize(
    "options",
    [
        {"subscribe_numbers": []},
        {"subscribe_numbers": ("+1800", "+1900")},
        {"subscribe_numbers": iter(["+1800"])},
        {"connect_timeout": 0.5},
        {"reconnect": False},
        {"reconnect": Backoff(initial=2)},
        {"workers": 1},
        {"token_provider": lambda channel, uid, app_id: "t"},
        {"orphan_policy": "keep"},
        {"callback_context": contextlib.nullcontext},
        {"ssl_context": ssl.create_default_context()},
        {"headers": {"X-A": "1"}},
        {"proxy": "http://proxy:3128"},
        {"proxy": False},
        {"max_message_size": 1},
        {"stale_timeout": 1},
    ],
    ids=lambda options: str(options).split(" at 0x")[0],
)
def test_options_that_are_right(options):
    """They are taken."""
    make(**options)


def test_building_one_touches_nothing(monkeypatch):
    """No network, no thread."""
    def never(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr("socket.getaddrinfo", never)
    monkeypatch.setattr("socket.socket", never)
    before = set(threading.enumerate())
    client = make()
    assert before == set(threading.enumerate())
    assert not client.connected


def test_by_position_and_by_name():
    """Both ways are the same."""
    by_name = Client(url="cm.example.org", auth_token=TOKEN, client_id="c-1", app_id="APP")
    by_position = Client("cm.example.org", TOKEN, "c-1", "APP")
    assert repr(by_name) == repr(by_position)


@pytest.mark.parametrize("client_id", ["c-1", None])
def test_a_forked_child_has_a_client_id_of_its_own(client_id):
    """The CM lets only one client have a name, and the parent keeps it."""
    options = make(client_id=client_id).options
    assert options.client_id != options.for_child().client_id
    if client_id is not None:
        assert f"c-1-{os.getpid()}" == options.for_child().client_id


def test_a_client_id_is_made_up():
    """Host, process and chance: no two clients share one."""
    first, second = (make(client_id=None).options.client_id for _ in range(2))
    assert first != second
    assert str(os.getpid()) in first


def test_secrets_do_not_show():
    """Neither the auth token nor what the headers and the proxy may hold."""
    client = make(
        headers={"X-Key": "s3cret-header"}, proxy="http://user:s3cret-proxy@proxy:3128"
    )
    shown = repr(client) + str(client) + repr(client.options) + repr(vars(client))
    assert "cm.example.org" in shown
    for secret in ("c2VjcmV0", "s3cret"):
        assert secret not in shown


# --- the environment ---------------------------------------------------------------------------

ENVIRONMENT = {"CM_HOST": "cm.example.org", "AUTH_TOKEN": TOKEN, "APPID": "APP"}


@pytest.fixture
def environment(monkeypatch):
    """Sets these variables and no other of ours."""
    def set_to(variables):
        for name in (*ENVIRONMENT, "CLIENT_ID"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_to


def test_from_the_environment(environment):
    """Three variables; the options are the client's."""
    environment(ENVIRONMENT)
    client = Client.from_env(workers=3, orphan_policy="keep")
    assert f"wss://cm.example.org{PATH}" == client.options.url
    assert ("APP", TOKEN, 3) == (
        client.options.app_id,
        client.options.auth_token,
        client.options.workers,
    )
    assert str(os.getpid()) in client.options.client_id


@pytest.mark.parametrize("given, made_up", [("c-9", False), ("", True)])
def test_the_client_id_is_optional(environment, given, made_up):
    """An empty one is none."""
    environment({**ENVIRONMENT, "CLIENT_ID": given})
    assert made_up is (given != Client.from_env().options.client_id)


@pytest.mark.parametrize(
    "missing", [["CM_HOST"], ["AUTH_TOKEN"], ["APPID"], ["AUTH_TOKEN", "APPID"], list(ENVIRONMENT)]
)
@pytest.mark.parametrize("empty", [True, False])
def test_what_is_missing_is_named(environment, missing, empty):
    """All of it at once; empty is missing."""
    rest = {name: value for name, value in ENVIRONMENT.items() if name not in missing}
    environment({**rest, **({name: " " for name in missing} if empty else {})})
    with pytest.raises(InvalidArgumentError) as caught:
        Client.from_env()
    named = [name for name in ENVIRONMENT if f"{name} (" in str(caught.value)]
    assert missing == named


def test_options_from_the_environment_are_checked_too(environment):
    """Unknown ones are named; wrong values say which."""
    environment(ENVIRONMENT)
    with pytest.raises(InvalidArgumentError, match="werkers"):
        Client.from_env(werkers=3)
    environment({**ENVIRONMENT, "CM_HOST": "ws://cm.example.org"})
    with pytest.raises(InvalidArgumentError, match="^url"):
        Client.from_env()
