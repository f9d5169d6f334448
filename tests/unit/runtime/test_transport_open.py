"""Opening a connection: every step, how each can fail, and that the deadline holds in all."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import socket
import ssl
import threading
import time

import pytest
import trustme

from telephony.errors import ConnectError, InvalidArgumentError, RegistrationError
from telephony.runtime import handshake, resolve
from telephony.runtime.deadline import Deadline
from telephony.runtime.transport import ConnectionDown, Transport, TransportOptions
from tests.unit.runtime.transport_peers import (
    PATIENCE,
    Server,
    echo,
    frame,
)

SLACK = 10.0  # what a busy machine may add to a deadline
CANARY = "s3cr3t"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def server_context(cert):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context


@pytest.fixture(scope="module")
def server_tls(authority):
    return server_context(authority.issue_cert("127.0.0.1", "localhost"))


@pytest.fixture(scope="module")
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def refused(url, seconds=PATIENCE, **options):
    """Open, which must fail: the ConnectError."""
    transport = Transport(url, TransportOptions(**options))
    with pytest.raises(ConnectError) as caught:
        transport.open(Deadline(seconds))
    assert transport.closed
    assert not transport.opened
    assert caught.value.__cause__ is None
    assert CANARY not in str(caught.value) + repr(caught.value)
    return caught.value


def opened(url, **options):
    """Open, send a text and get it back, close."""
    transport = Transport(url, TransportOptions(**options))
    transport.open(Deadline(PATIENCE))
    transport.send("hello", Deadline(PATIENCE))
    messages = []
    while not messages:
        messages = transport.receive(PATIENCE)
    transport.close(1)
    return messages


def answer(data):
    """A script that reads the upgrade request and answers it so."""

    def script(peer):
        peer.request = peer.head()
        peer.send(data)
        peer.until_gone()

    return script


class TestTls:
    def test_trusted(self, server_tls, client_tls):
        """A certificate of a trusted authority for the right host is accepted."""
        with Server(echo, server_tls) as server:
            assert ["hello"] == opened(server.url, ssl_context=client_tls)

    def test_wrong_host(self, authority, client_tls):
        """It says that the certificate is for another host, and that trying again is no use."""
        tls = server_context(authority.issue_cert("other.example"))
        with Server(echo, tls) as server:
            error = refused(server.url, ssl_context=client_tls)
        assert ("tls", True) == (error.phase, error.permanent)
        assert "its certificate is not trusted: IP address mismatch" in str(error)

    def test_expired(self, authority, client_tls):
        """It says that the certificate has expired."""
        past = datetime.datetime(2020, 1, 1)
        cert = authority.issue_cert("127.0.0.1", not_before=past,
                                    not_after=past + datetime.timedelta(days=1))
        with Server(echo, server_context(cert)) as server:
            error = refused(server.url, ssl_context=client_tls)
        assert ("tls", True) == (error.phase, error.permanent)
        assert "certificate has expired" in str(error)

    def test_unknown_authority(self, server_tls):
        """TLS is verified by default, against the system's authorities."""
        with Server(echo, server_tls) as server:
            error = refused(server.url)
        assert ("tls", True) == (error.phase, error.permanent)
        assert "certificate is not trusted: " in str(error)
        assert "issuer" in str(error) or "self-signed" in str(error)

    def test_not_tls(self):
        """A plain server on the port is no certificate failure: it may be put right."""

        def script(peer):
            peer.read(1)
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with Server(script) as server:
            error = refused(server.url.replace("ws:", "wss:"))
        assert ("tls", False) == (error.phase, error.permanent)


class TestUpgrade:
    @pytest.mark.parametrize("status, reason", [(401, "unauthorized"), (403, "forbidden")])
    def test_credentials_refused(self, status, reason):
        """401 and 403 are a RegistrationError, which is not tried again."""
        with Server(answer(f"HTTP/1.1 {status} No\r\n\r\n{CANARY}".encode())) as server:
            error = refused(server.url)
        assert isinstance(error, RegistrationError)
        assert ("upgrade", status, reason, True) == (
            error.phase, error.status_code, error.reason, error.permanent
        )

    @pytest.mark.parametrize("status", [200, 204, 301, 302, 307, 308, 404, 500, 502])
    def test_other_statuses(self, status):
        """Anything but 101 is refused, a redirect too; no header or body is in the message."""
        body = (
            f"HTTP/1.1 {status} {CANARY}\r\nLocation: ws://127.0.0.1:1/\r\n"
            f"X: {CANARY}\r\nContent-Length: 1000000000\r\n\r\n{CANARY}"
        )
        with Server(answer(body.encode())) as server:
            error = refused(server.url)
        assert ("upgrade", status, None) == (error.phase, error.status_code, error.retry_after)
        assert f"unexpected status: {status}" in str(error)

    def test_redirects_are_not_followed(self):
        """The place a redirect names is never connected to."""
        with Server(echo) as other:
            location = f"HTTP/1.1 302 Found\r\nLocation: {other.url}\r\n\r\n"
            with Server(answer(location.encode())) as server:
                refused(server.url, headers=(("Authorization", CANARY),))
            assert not other.connected.is_set()

    @pytest.mark.parametrize("value, expected", [
        ("7", 7.0), ("0", 0.0), ("-1", None), ("soon", None), ("", None), ("9" * 400, None),
        ("nan", None), ("Fri, 01 Jan 2016 00:00:00 GMT", 0.0),
        ("Mon, 99 Foo 99999 00:00:00", None),
    ])
    def test_retry_after(self, value, expected):
        """Seconds as a number; what cannot be read is None; a date gone by is 0."""
        head = f"HTTP/1.1 503 Busy\r\nretry-after: {value}\r\n\r\n"
        with Server(answer(head.encode())) as server:
            error = refused(server.url)
        assert (503, expected) == (error.status_code, error.retry_after)

    def test_retry_after_date(self):
        """A date to come is turned into seconds from now."""
        then = email.utils.formatdate(time.time() + 100, usegmt=True)
        head = f"HTTP/1.1 429 Slow down\r\nRetry-After: {then}\r\n\r\n"
        with Server(answer(head.encode())) as server:
            error = refused(server.url)
        assert 60 < error.retry_after <= 100

    @pytest.mark.parametrize("data", [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nno colon s3cr3t\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nA: s3cr3t\xff\r\n\r\n",
    ])
    def test_not_a_websocket_server(self, data):
        """A wrong accept key, or what is no HTTP at all, is told at once."""
        with Server(answer(data)) as server:
            error = refused(server.url)
        assert ("upgrade", None) == (error.phase, error.status_code)

    def test_closed_early(self):
        """A server that hangs up instead of answering."""
        with Server(lambda peer: peer.head()) as server:
            error = refused(server.url)
        assert "upgrade" == error.phase

    @pytest.mark.parametrize("start", [b"HTTP/1.1 101 OK\r\n", b"HTTP/1.1 404 No\r\n"])
    def test_header_flood(self, start):
        """Headers without an end are given up at 64 KiB."""

        def script(peer):
            peer.head()
            peer.send(start)
            while True:
                peer.send(b"A: " + b"x" * 1000 + b"\r\n")

        with Server(script) as server:
            error = refused(server.url)
        assert "larger than 64 KiB" in str(error)

    def test_no_cookie_is_kept(self):
        """websocket-client would keep cookies for every later connection of the process."""

        def script(peer):
            peer.request = peer.head()
            peer.server.requests.append(peer.request)
            peer.send(peer.accept_response("Set-Cookie: a=b; Domain=127.0.0.1\r\n"))
            peer.send(frame(b"hi"))
            peer.until_gone()

        with Server(script) as server:
            server.requests = []
            for _ in range(2):
                transport = Transport(server.url, TransportOptions())
                transport.open(Deadline(PATIENCE))
                transport.close()
        assert 2 == len(server.requests)
        assert not any(b"cookie" in request.lower() for request in server.requests)

    def test_the_request(self):
        """Headers go out as given, the URL's user as Basic, and no Origin."""

        def script(peer):
            peer.upgrade()
            peer.server.request = peer.request.decode().split("\r\n")
            peer.until_gone()

        with Server(script) as server:
            url = server.url.replace("//", "//user:p%40ss@") + "?token=1#part"
            transport = Transport(url, TransportOptions(headers=(("X-One", "1"), ("X-One", "2"))))
            transport.open(Deadline(PATIENCE))
            transport.close()
        lines = server.request
        assert "GET /v1/ws/events?token=1 HTTP/1.1" == lines[0]
        assert ["X-One: 1", "X-One: 2"] == [line for line in lines if line.startswith("X-One")]
        assert "Authorization: Basic dXNlcjpwQHNz" in lines
        assert f"Host: 127.0.0.1:{server.port}" in lines
        assert not any(line.startswith("Origin") for line in lines)


class TestArguments:
    @pytest.mark.parametrize("url", [
        "", "host", "http://host", "ws://", "ws:///path", "ws://host:port", "ws://host:99999",
        f"ws://host/{CANARY}\r\nX: y", "ws://ho st/", "ws://host/\x00", "ws://[::1/",
        f"ftp://u:{CANARY}@host", "ws://" + "é" * 70 + ".example",
    ])
    def test_bad_urls(self, url):
        """Refused before any byte, without repeating what may hold a secret."""
        with pytest.raises(InvalidArgumentError) as caught:
            Transport(url, TransportOptions())
        assert CANARY not in str(caught.value)

    @pytest.mark.parametrize("header", [
        ("A", f"{CANARY}\r\nX: y"), ("A", f"{CANARY}\n"), ("A", "\x00"), ("A\r\nB", "c"),
        ("", "a"), ("A:", "b"), ("A B", "c"), ("Connection", "close"), ("upgrade", "h2c"),
        ("Sec-WebSocket-Key", "x"), ("A", "\ud800"),
    ])
    def test_bad_headers(self, header):
        """No header can smuggle a line, or break the upgrade."""
        with pytest.raises(InvalidArgumentError) as caught:
            Transport("ws://host", TransportOptions(headers=(header,)))
        assert CANARY not in str(caught.value)

    @pytest.mark.parametrize("proxy", [
        f"socks5://u:{CANARY}@host:1", "http://", "http://host:port", "http://ho\r\nst",
    ])
    def test_bad_proxies(self, proxy):
        """Only http:// proxies are known."""
        with pytest.raises(InvalidArgumentError) as caught:
            Transport("ws://host", TransportOptions(proxy=proxy))
        assert CANARY not in str(caught.value)


def unused_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class TestReaching:
    def test_connection_refused(self):
        """It says where and why."""
        port = unused_port()
        error = refused(f"ws://127.0.0.1:{port}/?x={CANARY}")
        assert ("tcp", False) == (error.phase, error.permanent)
        assert str(error).startswith(f"cannot reach 127.0.0.1:{port}: ")
        assert "refused" in str(error)

    def test_unknown_name(self, monkeypatch):
        """A name that does not resolve."""

        def fail(*args):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        error = refused("ws://no.such.example/")
        assert ("dns", False) == (error.phase, error.permanent)
        assert (
            "cannot reach no.such.example: the name cannot be resolved "
            "(name or service not known)"
        ) == str(error)

    def test_slow_name(self, monkeypatch):
        """The end of a look-up wakes who waits for it: no deadline has to pass."""
        with Server(echo) as server:
            transport = Transport("ws://slow.example/", TransportOptions())
            answer = resolve._lookup("127.0.0.1", server.port)

            def look(host, port):
                while not transport._stream._descriptor._waiting:
                    threading.Event().wait(0.001)
                return answer

            monkeypatch.setattr(resolve, "_lookup", look)
            started = time.monotonic()
            transport.open(Deadline(PATIENCE))
            assert time.monotonic() - started < 10
            transport.close()

    def test_name_with_several_addresses(self, monkeypatch):
        """They are tried in turn: the first refuses, the second answers."""
        dead = unused_port()
        with Server(echo) as server:
            monkeypatch.setattr(resolve, "_lookup", lambda host, port: [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", dead)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
            ])
            assert ["hello"] == opened(f"ws://two.example:{server.port}/")

    def test_silent_address_leaves_time_for_the_next(self, monkeypatch):
        """An address that never answers takes its share of the time, not all of it."""
        with full_listener() as full, Server(echo) as server:
            monkeypatch.setattr(resolve, "_lookup", lambda host, port: [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", full)),
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
            ])
            transport = Transport("ws://two.example/", TransportOptions())
            transport.open(Deadline(2))
            transport.close()

    def test_localhost(self, client_tls, server_tls):
        """A name is looked up in a thread, and checked in the certificate."""
        with Server(echo, server_tls) as server:
            url = server.url.replace("127.0.0.1", "LOCALHOST")
            assert ["hello"] == opened(url, ssl_context=client_tls)

    def test_ipv6(self):
        """An IPv6 literal, in brackets everywhere."""
        try:
            server = Server(echo, family=socket.AF_INET6)
        except OSError:
            pytest.skip("no IPv6 here")
        with server:
            assert ["hello"] == opened(f"ws://[::1]:{server.port}/")

    def test_aborted_before(self):
        """open() after abort() makes no connection."""
        with Server(echo) as server:
            transport = Transport(server.url, TransportOptions())
            transport.abort()
            with pytest.raises(ConnectError):
                transport.open(Deadline(1))
            assert not server.connected.is_set()

    def test_never_opened(self):
        """Everything but open() is refused or does nothing, and nothing is left behind."""
        transport = Transport("ws://host/", TransportOptions())
        transport.close()
        transport.abandon()
        with pytest.raises(ConnectionDown):
            transport.receive(0)

    def test_sending_too_soon(self):
        """A frame cannot land inside the handshake: it is refused until open() is done."""
        with Server(silent_http) as server:
            server.reached = threading.Event()
            transport = Transport(server.url, TransportOptions())
            thread = threading.Thread(target=lambda: pytest.raises(
                ConnectError, transport.open, Deadline(PATIENCE)
            ))
            thread.start()
            assert server.reached.wait(PATIENCE)
            for call in (lambda: transport.send("x", Deadline(1)), lambda: transport.post("x"),
                         transport.ping, lambda: transport.receive(0)):
                with pytest.raises(ConnectionDown) as caught:
                    call()
                assert caught.value.nothing_sent
            transport.close()
            thread.join(PATIENCE)
        assert not thread.is_alive()


class TestProxy:
    def proxy(self, status="200 OK", extra=b""):
        """A script: a proxy that connects to where it is told, or refuses."""

        def script(peer):
            head = peer.head().decode()
            peer.server.heads.append(head)
            peer.send(f"HTTP/1.1 {status}\r\nX: {CANARY}\r\n\r\n".encode() + extra)
            if not status.startswith("200"):
                return
            host, _, port = head.split()[1].rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port))) as far:
                def back():
                    with contextlib.suppress(OSError):
                        while data := far.recv(1 << 16):
                            peer.sock.sendall(data)
                    with contextlib.suppress(OSError):
                        peer.sock.shutdown(socket.SHUT_WR)

                thread = threading.Thread(target=back)
                thread.start()
                with contextlib.suppress(OSError):
                    while data := peer.sock.recv(1 << 16):
                        far.sendall(data)
                with contextlib.suppress(OSError):
                    far.shutdown(socket.SHUT_RDWR)
                thread.join(PATIENCE)

        return script

    @contextlib.contextmanager
    def running(self, script):
        with Server(script) as server:
            server.heads = []
            yield server, f"http://user:{CANARY}@127.0.0.1:{server.port}"

    @pytest.mark.parametrize("tls", [False, True])
    def test_tunnel(self, tls, server_tls, client_tls):
        """ws and wss go through CONNECT, with the proxy's own credentials."""
        with Server(echo, server_tls if tls else None) as server:
            with self.running(self.proxy()) as (proxy, url):
                assert ["hello"] == opened(server.url, proxy=url, ssl_context=client_tls)
        (head,) = proxy.heads
        lines = head.split("\r\n")
        assert f"CONNECT 127.0.0.1:{server.port} HTTP/1.1" == lines[0]
        assert "Proxy-Authorization: Basic dXNlcjpzM2NyM3Q=" in lines

    def test_the_server_does_not_see_the_proxy_password(self):
        """Proxy credentials end at the proxy."""

        def script(peer):
            peer.upgrade()
            peer.server.request = peer.request
            peer.until_gone()

        with Server(script) as server, self.running(self.proxy()) as (_, url):
            transport = Transport(server.url, TransportOptions(proxy=url))
            transport.open(Deadline(PATIENCE))
            transport.close()
        assert b"roxy" not in server.request

    @pytest.mark.parametrize("status", [407, 502, 302, 401])
    def test_refused(self, status):
        """Its status is told, in the phase of the proxy; a 401 is not about our registration."""
        with self.running(self.proxy(f"{status} {CANARY}")) as (_, url):
            error = refused("wss://host.example/", proxy=url)
        assert ConnectError is type(error)
        assert ("proxy", status) == (error.phase, error.status_code)

    def test_cannot_be_reached(self):
        """It says that it is the proxy which cannot be reached."""
        error = refused("ws://host.example/", proxy=f"http://127.0.0.1:{unused_port()}")
        assert str(error).startswith("cannot reach the proxy 127.0.0.1:")

    def test_from_the_environment(self, monkeypatch):
        """HTTP_PROXY is for ws, HTTPS_PROXY for wss; False ignores both."""
        def chosen(url, option=None):
            proxy = handshake.choose_proxy(handshake.Endpoint.parse(url), option)
            return proxy and proxy.host

        monkeypatch.setenv("http_proxy", "http://plain.example:1")
        assert "plain.example" == chosen("ws://cm.example/")
        assert chosen("wss://cm.example/") is None
        assert chosen("ws://cm.example/", False) is None
        monkeypatch.setenv("https_proxy", "http://secure.example:1")
        assert "secure.example" == chosen("wss://cm.example/")

    def test_in_capitals(self, monkeypatch):
        """They count where the small letters are not set, but not if a request may set them."""
        def chosen():
            proxy = handshake.choose_proxy(handshake.Endpoint.parse("ws://cm.example/"), None)
            return proxy and proxy.host

        for name in ("http_proxy", "all_proxy", "ALL_PROXY", "REQUEST_METHOD"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTP_PROXY", "http://capital.example:1")
        assert "capital.example" == chosen()
        monkeypatch.setenv("REQUEST_METHOD", "GET")  # a CGI script, and a header named Proxy
        assert chosen() is None
        monkeypatch.delenv("REQUEST_METHOD")
        monkeypatch.setenv("http_proxy", "")
        assert chosen() is None
        monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
        assert "all.example" == chosen()

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost"])
    def test_this_machine_needs_no_proxy(self, monkeypatch, host):
        """The environment's proxy is for the network; one that is given is for everything."""
        monkeypatch.setenv("http_proxy", "http://plain.example:1")
        endpoint = handshake.Endpoint.parse(f"ws://{host}:80/")
        assert handshake.choose_proxy(endpoint, None) is None
        assert handshake.choose_proxy(endpoint, "http://given.example:1") is not None

    @pytest.mark.parametrize("value, bypassed", [
        ("*", True), ("10.1.2.3", True), ("other, 10.0.0.0/8", True), ("11.0.0.0/8", False),
        ("example.com", False), ("", False), ("0.1.2.3", False), ("10.1.2.3:81", True),
        ("10.1.2.3:1", False),
    ])
    def test_no_proxy(self, monkeypatch, value, bypassed):
        """NO_PROXY by host, host and port, network, or all."""
        monkeypatch.setenv("http_proxy", "http://plain.example:1")
        monkeypatch.setenv("no_proxy", value)
        endpoint = handshake.Endpoint.parse("ws://10.1.2.3:81/")
        assert bypassed == (handshake.choose_proxy(endpoint, None) is None)

    def test_bad_environment(self, monkeypatch):
        """A proxy the environment names wrongly is an error of connecting, not of arguments."""
        monkeypatch.setenv("all_proxy", f"socks5://user:{CANARY}@host")
        error = refused("ws://host.example/")
        assert ("proxy", True) == (error.phase, error.permanent)


@contextlib.contextmanager
def full_listener():
    """A port whose queue of connections is full: a connect hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield port


def silent_tls(peer):
    peer.read(1)
    peer.server.reached.set()
    peer.until_stopped()


def slow_answer(peer):
    peer.head()
    peer.server.reached.set()
    peer.trickle(b"HTTP/1.1 101 Switching Protocols\r\n" + b"A: b\r\n" * 1000)


def slow_error(peer):
    peer.head()
    peer.server.reached.set()
    peer.send(b"HTTP/1.1 404 Not Found\r\n")
    peer.trickle(b"A: b\r\n" * 1000)


def slow_tls(peer):
    # A handshake record of 16,000 bytes, which never gets whole.
    peer.read(1)
    peer.server.reached.set()
    peer.trickle(b"\x16\x03\x03\x3e\x80\x02\x00\x3e\x7c\x03\x03" + b"\0" * 16000)


def silent_http(peer):
    peer.head()
    peer.server.reached.set()
    peer.until_stopped()


def slow_proxy(peer):
    peer.head()
    peer.server.reached.set()
    peer.trickle(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000)


@pytest.fixture(params=[
    "dns", "tcp", "proxy silent", "proxy trickling", "tls silent", "tls trickling",
    "upgrade silent", "upgrade trickling", "refusal trickling", "upgrade over tls",
])
def stuck(request, monkeypatch, server_tls, client_tls):
    """A transport whose open() hangs in one step: (transport, when it is there, its phase)."""
    reached = threading.Event()
    with contextlib.ExitStack() as stack:

        def serve(script, scheme="ws", tls=None):
            server = Server(script, tls)
            server.reached = reached
            stack.enter_context(server)
            return f"{scheme}://127.0.0.1:{server.port}"

        options = {"ssl_context": client_tls}
        if request.param == "dns":
            free = threading.Event()
            stack.callback(free.set)

            def hang(*args):
                reached.set()
                free.wait(PATIENCE)
                return []

            monkeypatch.setattr(socket, "getaddrinfo", hang)
            url = "ws://slow.example/"
        elif request.param == "tcp":
            url = f"ws://127.0.0.1:{stack.enter_context(full_listener())}"
            reached.set()
        elif request.param.startswith("proxy"):
            options["proxy"] = serve(silent_http if "silent" in request.param else slow_proxy,
                                     "http")
            url = "wss://host.example/"
        elif request.param == "tls silent":
            url = serve(silent_tls, "wss")
        elif request.param == "tls trickling":
            url = serve(slow_tls, "wss")
        elif request.param == "upgrade silent":
            url = serve(silent_http)
        elif request.param == "upgrade trickling":
            url = serve(slow_answer)
        elif request.param == "refusal trickling":
            url = serve(slow_error)
        else:
            url = serve(silent_http, "wss", server_tls)
        phase = request.param.split()[0].replace("refusal", "upgrade")
        yield Transport(url, TransportOptions(**options)), reached, phase


class TestStuck:
    def test_the_deadline_holds(self, stuck):
        """Each step, silent or trickling, ends with the one total deadline."""
        transport, _, phase = stuck
        started = time.monotonic()
        with pytest.raises(ConnectError) as caught:
            transport.open(Deadline(0.4))
        assert time.monotonic() - started < 0.4 + SLACK
        assert (phase, False) == (caught.value.phase, caught.value.permanent)
        assert "no answer in the time given" in str(caught.value)

    def test_abort_ends_it_at_once(self, stuck):
        """abort() in another thread, at each step."""
        transport, reached, phase = stuck
        errors = []

        def open_it():
            try:
                transport.open(Deadline(PATIENCE * 2))
            except ConnectError as error:
                errors.append(error)

        thread = threading.Thread(target=open_it)
        thread.start()
        assert reached.wait(PATIENCE)
        while not transport._stream._descriptor._waiting:
            assert thread.is_alive()
        transport.abort()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert [phase] == [error.phase for error in errors]
        assert "closed here" in str(errors[0])
