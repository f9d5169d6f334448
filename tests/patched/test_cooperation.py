"""While one greenlet is inside the client the others run: nothing of it blocks the process."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import threading
import time

import gevent
import pytest
import trustme

from telephony import CallIncoming, Client, ConnectError, ConnectionLostError, ConnectionState
from telephony import TelephonyError, WaitTimeoutError
from telephony.runtime import resolve
from tests.conftest import DIAL
from tests.regression.conftest import connected, dialled  # noqa: F401
from tests.scripted import SECONDS, Running
from tests.soak.cm import RemoteSandbox

TICK = 0.01
#: How long the client is to wait: of it a machine that others use may take the most part.
SOME_SECONDS = 3.0


class Ticker:
    """A greenlet that counts; ``goes_on`` demands that it did while the block was left alone."""

    def __init__(self) -> None:
        self.ticks = 0
        self._greenlet = gevent.spawn(self._tick)

    def _tick(self) -> None:
        while True:
            gevent.sleep(TICK)
            self.ticks += 1

    @contextlib.contextmanager
    def goes_on(self):
        # There could be three hundred ticks; what blocks the process leaves one or two.
        before = self.ticks
        yield
        assert self.ticks - before >= 10

    def stop(self) -> None:
        self._greenlet.kill()


@pytest.fixture
def ticker():
    one = Ticker()
    yield one
    one.stop()


@pytest.fixture
def silent():
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_connect(ticker, silent):
    """A server that says nothing to the upgrade."""
    with ticker.goes_on(), pytest.raises(ConnectError):
        Client(f"ws://127.0.0.1:{silent}", "t", None, "APP").connect(timeout=SOME_SECONDS)


def test_tls_handshake(ticker, silent):
    """A server that says nothing to the handshake."""
    with ticker.goes_on(), pytest.raises(ConnectError):
        client = Client(f"wss://127.0.0.1:{silent}", "t", None, "APP", proxy=False)
        client.connect(timeout=SOME_SECONDS)


def test_dns(ticker, monkeypatch):
    """A look-up that waits, for a thread of the pool as gevent's own does."""

    def lookup(host, port):
        gevent.get_hub().threadpool.apply(_really_sleep, (SOME_SECONDS + 1,))
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(resolve, "_lookup", lookup)
    with ticker.goes_on(), pytest.raises(ConnectError) as caught:
        client = Client("wss://sipcm.invalid", "t", None, "APP", proxy=False)
        client.connect(timeout=SOME_SECONDS)
    assert "dns" == caught.value.phase


def _really_sleep(seconds: float) -> None:
    from gevent import monkey

    monkey.get_original("time", "sleep")(seconds)


def test_dial(ticker, connected):  # noqa: F811
    """The response comes late."""
    client, line = connected()
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    gevent.spawn_later(SOME_SECONDS, line.answer, command, callid="call-1")
    with ticker.goes_on():
        assert "call-1" == dialling.result().call_id


@pytest.mark.parametrize("step", ["wait_answered", "wait_ended", "collect_digits"])
def test_waits(ticker, connected, step):  # noqa: F811
    """What is waited for does not happen."""
    client, line = connected()
    call = dialled(client, line)
    with ticker.goes_on(), contextlib.suppress(WaitTimeoutError):
        getattr(call, step)(timeout=SOME_SECONDS)


def test_close(ticker, connected):  # noqa: F811
    """A callback that runs on is waited for."""
    client, line = connected()
    over, entered = threading.Event(), threading.Event()

    def block(event):
        entered.set()
        over.wait(SECONDS)

    client.on(CallIncoming, block)
    line.event("call_incoming", "call-9", to="+1800", direction="inbound", appid="APP")
    assert entered.wait(SECONDS)
    with ticker.goes_on():
        client.close(drain=SOME_SECONDS)
    over.set()


def test_sending_to_one_who_does_not_read(ticker, caplog):
    """The buffers are full, and the sender waits for its limit; over TLS, with the records."""
    caplog.set_level("INFO", "telephony")  # to log so long a frame takes longer than to send it
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    from tests.unit.runtime.transport_peers import Server, frame

    def script(peer):
        peer.upgrade(frame(b'{"status":"connected","session_id":"s"}'))
        peer.frame()
        peer.send(frame(b'{"status":"registered","client_id":"c"}'))
        peer.until_stopped()

    with Server(script, server, receive_buffer=4096) as peers:
        client = Client(peers.url, "t", "c", "APP", ssl_context=context, proxy=False)
        with client, ticker.goes_on(), pytest.raises(TelephonyError) as caught:
            client.command("ask", text="x" * (8 << 20), command_timeout=4)
        assert isinstance(caught.value, ConnectionLostError)


def test_two_hundred_greenlets():
    """All dial through one client at once, and each has its own call."""
    with RemoteSandbox(time_scale=50) as cm, Client(
        cm.url, cm.auth_token, None, cm.app_id
    ) as client:

        def live(number):
            with client.dial(**{**DIAL, "uid": str(number)}) as call:
                call.wait_answered(30)
            call.wait_ended(30)
            return call.call_id, call.uid

        greenlets = [gevent.spawn(live, number) for number in range(200)]
        gevent.joinall(greenlets, timeout=50, raise_error=True)
        assert 200 == len({greenlet.value[0] for greenlet in greenlets})
        assert [str(number) for number in range(200)] == [one.value[1] for one in greenlets]
        assert ([], 0) == (client.calls(), client.health().in_flight)


def test_a_greenlet_that_is_killed(connected):  # noqa: F811
    """``GreenletExit`` in a dial is an interrupt: the call that comes late is hung up."""
    client, line = connected()
    dialling = gevent.spawn(client.dial, **DIAL)
    command = line.receive("outbound")
    dialling.kill(timeout=SECONDS)
    assert isinstance(dialling.value, gevent.GreenletExit)
    line.answer(command, callid="call-1")
    ending = line.receive("endcall")
    assert "call-1" == ending["callid"]
    line.answer(ending)


def test_a_timeout_of_gevents(connected):  # noqa: F811
    """``gevent.Timeout`` comes through a wait, and the client goes on."""
    client, line = connected()
    call = dialled(client, line)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
        call.wait_answered(SECONDS)
    line.event("call_answered", "call-1")
    assert "answered" == call.wait_answered(SECONDS).state


def test_run_forever_ends_with_sigterm(connected):  # noqa: F811
    """The signal comes while all greenlets wait."""
    client, line = connected()
    gevent.spawn_later(0.1, signal.pthread_kill, 0, signal.SIGTERM)
    started = time.monotonic()
    client.run_forever()
    assert ConnectionState.CLOSED is client.state
    assert time.monotonic() - started < 10


def test_a_signal_that_closes(connected):  # noqa: F811
    """As the documents say: ``gevent.signal_handler`` runs it where it may block."""
    client, line = connected()
    call, closed = dialled(client, line), threading.Event()

    def close() -> None:
        client.close(hangup_active=True)
        closed.set()

    handler = gevent.signal_handler(signal.SIGTERM, close)
    try:
        signal.pthread_kill(0, signal.SIGTERM)
        line.answer(line.receive("endcall"))
        assert closed.wait(SECONDS)
    finally:
        handler.cancel()
    assert not call.active
    assert ConnectionState.CLOSED is client.state
