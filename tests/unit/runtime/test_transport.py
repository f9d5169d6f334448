"""An open connection: messages both ways, limits, and every way it can end."""

from __future__ import annotations

import contextlib
import signal
import ssl
import threading
import time

import pytest
import trustme

from telephony.errors import InvalidArgumentError
from telephony.runtime.deadline import Deadline
from telephony.runtime.transport import ConnectionDown, Transport, TransportOptions
from tests.unit.runtime.transport_peers import (
    BINARY,
    CLOSE,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Server,
    close_frame,
    echo,
    frame,
)

SLACK = 10.0  # what a busy machine may add to a deadline


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(params=["ws", "wss"])
def serve(request, server_tls, client_tls):
    """serve(script) gives an open transport and its server, over TCP and over TLS."""
    with contextlib.ExitStack() as stack:

        def start(script, receive_buffer=None, **options):
            tls = server_tls if request.param == "wss" else None
            server = stack.enter_context(Server(script, tls, receive_buffer=receive_buffer))
            transport = Transport(
                server.url, TransportOptions(ssl_context=client_tls, **options)
            )
            stack.callback(transport.abort)
            transport.open(Deadline(PATIENCE))
            return transport, server

        yield start


def receive(transport, count=1):
    """The next ``count`` messages."""
    messages = []
    deadline = Deadline(PATIENCE)
    while len(messages) < count:
        assert not deadline.expired
        messages += transport.receive(deadline.remaining())
    return messages


def receive_end(transport):
    """Read on until the connection is down: (messages, the exception)."""
    messages = []
    while True:
        try:
            messages += transport.receive(PATIENCE)
        except ConnectionDown as down:
            return messages, down


def background(function):
    """Run it in a thread: .join() gives what it returned or raised."""

    class Running(threading.Thread):
        result = None

        def run(self):
            try:
                self.result = function()
            except Exception as error:
                self.result = error

        def join(self, timeout=PATIENCE):
            super().join(timeout)
            assert not self.is_alive()
            return self.result

    thread = Running()
    thread.start()
    return thread


class TestMessages:
    def test_echo(self, serve):
        """Texts of every length class come back as they were sent."""
        transport, _ = serve(echo)
        texts = ["", "a", "é☎", "x" * 125, "y" * 126, "z" * 65535, "w" * 65536, "v" * 300_000]
        for text in texts:
            transport.send(text, Deadline(PATIENCE))
        assert texts == receive(transport, len(texts))

    def test_nothing_in_time(self, serve):
        """No message within the timeout is an empty list."""
        transport, _ = serve(echo)
        assert [] == transport.receive(0)
        assert [] == transport.receive(0.01)
        assert not transport.closed
        assert transport.opened

    def test_first_frames_right_behind_the_upgrade(self, serve):
        """What the server sends in one write with its 101 is not lost."""
        transport, _ = serve(lambda peer: peer.upgrade(frame(b"hello") + frame(b"you")).head())
        assert ["hello", "you"] == receive(transport, 2)

    def test_one_byte_at_a_time(self, serve):
        """Frames cut anywhere are put together."""
        stream = frame(b"a" * 130) + frame(b"b", fin=False) + frame(b"c", 0) + frame(b"")

        def script(peer):
            peer.upgrade()
            for place in range(len(stream)):
                peer.send(stream[place:place + 1])
            peer.until_gone()

        transport, _ = serve(script)
        assert ["a" * 130, "bc", ""] == receive(transport, 3)

    def test_ping_is_answered(self, serve):
        """A pong with the same payload goes back, between fragments too."""

        def script(peer):
            peer.upgrade(frame(b"one", fin=False) + frame(b"payload", PING))
            answer = peer.frame()
            peer.send(frame(b" two", 0))
            return answer

        transport, server = serve(script)
        assert ["one two"] == receive(transport)
        transport.close()
        server.__exit__()
        assert [(PONG, b"payload")] == server.results

    def test_own_ping(self, serve):
        """ping() reaches the server, and its pong counts as life."""

        def script(peer):
            peer.upgrade()
            seen = peer.frame()
            peer.send(frame(b"", PONG))
            peer.until_gone()
            return seen

        transport, server = serve(script)
        before = transport.last_seen
        transport.ping()
        assert [] == transport.receive(PATIENCE)
        assert transport.last_seen > before
        transport.close()
        server.__exit__()
        assert [(PING, b"")] == server.results

    def test_binary_and_bad_utf8(self, serve):
        """They come as bytes, whole, and the connection stays."""
        bad = b'{"a":"\xff"}'
        data = frame(b"\x00\x01", BINARY) + frame(bad) + frame(b"\xe2\x82", fin=False)
        transport, _ = serve(lambda peer: (
            peer.upgrade(data + frame(b"\xac", 0) + frame(b"ok")), peer.until_gone()
        ))
        assert [b"\x00\x01", bad, "€", "ok"] == receive(transport, 4)

    def test_half_a_surrogate_pair_is_refused(self, serve):
        """A text with no UTF-8 form is the caller's mistake, and nothing is sent."""
        transport, _ = serve(echo)
        with pytest.raises(InvalidArgumentError):
            transport.send("\ud800", Deadline(1))
        transport.send("fine", Deadline(1))
        assert ["fine"] == receive(transport)

    def test_posted_frames_leave_in_order(self, serve):
        """post() queues behind what was sent before, without waiting."""
        transport, _ = serve(echo)
        expected = [str(number) for number in range(200)]
        for number in expected:
            transport.post(number)
        assert expected == receive(transport, 200)


class TestBrokenFrames:
    @pytest.mark.parametrize("data", [
        pytest.param(frame(b"x", masked=True), id="masked"),
        pytest.param(frame(b"x", masked=True, claim=200), id="masked long"),
        pytest.param(frame(b"x", rsv=0x40), id="reserved bit"),
        pytest.param(frame(b"x", 3), id="unknown opcode"),
        pytest.param(frame(b"x", 11), id="unknown control opcode"),
        pytest.param(frame(b"x", 0), id="continuation of nothing"),
        pytest.param(frame(b"x", fin=False) + frame(b"y"), id="text in a fragmented text"),
        pytest.param(frame(b"x" * 126, PING), id="long ping"),
        pytest.param(frame(b"x", PING, fin=False), id="fragmented ping"),
        pytest.param(frame(b"x", CLOSE), id="half a close code"),
        pytest.param(close_frame(1005), id="close code that must not be sent"),
    ])
    def test_protocol_errors(self, serve, data):
        """The messages before it are delivered, then 1002 is sent and the connection is down."""

        def script(peer):
            peer.upgrade(frame(b"before") + data)
            return peer.close_code()

        transport, server = serve(script)
        messages, down = receive_end(transport)
        assert (["before"], True) == (messages, down.protocol_error)
        assert transport.closed
        server.__exit__()
        assert [1002] == server.results

    @pytest.mark.parametrize("data", [
        pytest.param(frame(claim=1001), id="by its header"),
        pytest.param(frame(claim=1 << 63), id="absurd"),
        pytest.param(frame(b"x" * 600, fin=False) + frame(b"", 0, claim=401), id="in fragments"),
        pytest.param(frame(b"x", fin=False) + frame(b"", 0, fin=False) * 5, id="many fragments"),
    ])
    def test_too_large(self, serve, data):
        """Told by the header alone; 1009 is sent and the connection is down."""

        def script(peer):
            peer.upgrade(frame(b"x" * 1000) + data)
            return peer.close_code()

        transport, server = serve(script, max_message_size=1000, max_fragments=5)
        messages, down = receive_end(transport)
        assert (["x" * 1000], True) == (messages, down.protocol_error)
        server.__exit__()
        assert [1009] == server.results

    def test_as_many_fragments_as_allowed(self, serve):
        """The limit itself is fine, and counts for each message anew."""
        data = (frame(b"x", fin=False) + frame(b"y", 0, fin=False) + frame(b"z", 0)) * 3
        transport, _ = serve(
            lambda peer: (peer.upgrade(data), peer.until_gone()),
            max_message_size=3, max_fragments=3,
        )
        assert ["xyz"] * 3 == receive(transport, 3)


class TestEnds:
    def test_server_closes(self, serve):
        """The close code is echoed and named; the server's own words are not repeated."""

        def script(peer):
            peer.upgrade(frame(b"last") + close_frame(1001, b"secret"))
            return peer.close_code()

        transport, server = serve(script)
        messages, down = receive_end(transport)
        assert ["last"] == messages
        assert "the server closed the connection (1001, going away)" == down.reason
        assert not down.protocol_error
        server.__exit__()
        assert [1001] == server.results

    def test_server_vanishes(self, serve):
        """A connection that ends without a close frame is down too."""
        transport, _ = serve(lambda peer: peer.upgrade(frame(b"last")))
        messages, down = receive_end(transport)
        assert (["last"], False) == (messages, down.protocol_error)
        with pytest.raises(ConnectionDown) as caught:
            transport.send("x", Deadline(1))
        assert caught.value.nothing_sent
        with pytest.raises(ConnectionDown):
            transport.receive(0)
        with pytest.raises(ConnectionDown):
            transport.ping()

    def test_close_says_goodbye(self, serve):
        """close() sends 1000, and can be called again."""
        transport, server = serve(echo)
        transport.close(1)
        transport.close(1)
        assert transport.closed
        server.__exit__()
        assert [1000] == server.results

    def test_abort_while_receiving(self, serve):
        """The reader returns at once with ConnectionDown."""
        transport, _ = serve(echo)
        reader = background(lambda: transport.receive(None))
        transport.abort()
        assert isinstance(reader.join(), ConnectionDown)
        transport.abort()

    def test_abort_while_sending(self, serve):
        """A sender stuck with half a frame returns at once."""
        transport, _ = serve(lambda peer: (peer.upgrade(), peer.until_stopped()), 4096)
        sender = background(lambda: transport.send("x" * (8 << 20), Deadline(None)))
        fill(transport)
        transport.abort()
        down = sender.join()
        assert isinstance(down, ConnectionDown)
        assert not down.nothing_sent

    def test_nothing_is_closed_under_a_poll(self, serve, monkeypatch):
        """A descriptor that a thread polls stays open until that thread left."""
        transport, _ = serve(echo)
        inside, leave = threading.Event(), threading.Event()

        def poll(*args):
            inside.set()
            assert leave.wait(PATIENCE)
            return False

        monkeypatch.setattr("telephony.runtime.descriptor._poll", poll)
        reader = background(lambda: transport.receive(None))
        assert inside.wait(PATIENCE)
        sock = transport._stream._descriptor.sock
        transport.abort()
        assert sock.fileno() >= 0
        leave.set()
        assert isinstance(reader.join(), ConnectionDown)
        assert -1 == sock.fileno()

    def test_abort_holds_when_the_lock_is_held(self, serve):
        """Whoever holds the lock meanwhile does the work: abort() itself never waits."""
        transport, _ = serve(echo)
        reader = background(lambda: transport.receive(None))
        with transport._stream._lock:
            transport.abort()
            assert transport.closed
        transport._stream.wake()  # any that lets go of the lock
        assert isinstance(reader.join(), ConnectionDown)

    def test_close_in_a_signal_handler(self, serve):
        """The handler may run on the thread that holds the lock: no deadlock."""
        transport, _ = serve(echo)
        with transport._stream._lock:
            transport.close(0.05)
        transport.close()

    def test_abandon(self, serve):
        """The descriptors go without a byte to the server, even with the lock held."""

        def script(peer):
            peer.upgrade()
            peer.until_gone()
            return peer.rest

        transport, server = serve(script)
        transport._stream._lock.acquire()
        transport.abandon()
        transport.abandon()
        transport.abort()
        transport.close()
        with pytest.raises(ConnectionDown):
            transport.receive(0)
        server.__exit__()
        assert [b""] == server.results


def fill(transport):
    """Wait until a sender is stuck: bytes left, and the kernel takes no more."""
    deadline = Deadline(PATIENCE)
    stream = transport._stream
    while not (stream._outbox._sent and stream._descriptor._waiting):
        assert not deadline.expired
        threading.Event().wait(0.01)


class TestStuckServer:
    def script(self, peer):
        peer.upgrade(frame(b"first"))
        peer.server.go.wait(PATIENCE)
        peer.send(frame(b"second"))
        peer.until_stopped()

    def start(self, serve):
        def script(peer):
            peer.server.go = go
            self.script(peer)

        go = threading.Event()
        transport, server = serve(script, 4096)
        assert ["first"] == receive(transport)
        return transport, go

    def test_partial_send(self, serve):
        """The deadline holds for the whole frame, and then the connection is dead."""
        transport, go = self.start(serve)
        started = time.monotonic()
        with pytest.raises(ConnectionDown) as caught:
            transport.send("x" * (8 << 20), Deadline(0.5))
        assert time.monotonic() - started < 0.5 + SLACK
        assert not caught.value.nothing_sent
        assert transport.closed
        with pytest.raises(ConnectionDown) as caught:
            transport.send("y", Deadline(1))
        assert caught.value.nothing_sent
        go.set()

    def test_the_reader_reads_on(self, serve):
        """With a sender stuck, messages come in and posting does not block."""
        transport, go = self.start(serve)
        sender = background(lambda: transport.send("x" * (8 << 20), Deadline(None)))
        fill(transport)
        transport.ping()
        transport.post("later")
        go.set()
        assert ["second"] == receive(transport)
        transport.abort()
        assert isinstance(sender.join(), ConnectionDown)

    def test_stuck_behind_another(self, serve):
        """Who stands in line when time runs out takes the frame back; nothing is broken."""
        transport, go = self.start(serve)
        sender = background(lambda: transport.send("x" * (8 << 20), Deadline(None)))
        fill(transport)
        with pytest.raises(ConnectionDown) as caught:
            transport.send("y", Deadline(0.1))
        assert caught.value.nothing_sent
        assert not transport.closed
        go.set()
        assert ["second"] == receive(transport)
        transport.abort()
        assert isinstance(sender.join(), ConnectionDown)

    def test_stuck_behind_nobody(self, serve):
        """Behind a posted frame, which has no deadline of its own, the connection is given up."""
        transport, go = self.start(serve)
        transport.post("x" * (15 << 20))
        with pytest.raises(ConnectionDown) as caught:
            transport.send("y", Deadline(0.1))
        assert caught.value.nothing_sent
        assert transport.closed
        go.set()

    def test_posting_is_bounded(self, serve):
        """Past the bound the connection is given up."""
        transport, go = self.start(serve)
        with pytest.raises(ConnectionDown):
            for _ in range(30):
                transport.post("x" * (1 << 20))
        assert transport.closed
        go.set()


class TestInterrupted:
    def test_ctrl_c_while_a_frame_is_halfway(self, serve):
        """The rest of it leaves with whatever is sent next; nothing lands inside it."""
        go = threading.Event()

        def script(peer):
            peer.upgrade()
            go.wait(PATIENCE)
            return [(opcode, len(payload)) for opcode, payload in (peer.frame(), peer.frame())]

        transport, server = serve(script, 4096)

        def interrupt():
            fill(transport)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        other = background(interrupt)
        with pytest.raises(KeyboardInterrupt):
            transport.send("x" * (8 << 20), Deadline(PATIENCE))
        assert None is other.join()
        assert not transport.closed
        go.set()
        transport.send("next", Deadline(PATIENCE))
        server.wait()
        assert [[(TEXT, 8 << 20), (TEXT, 4)]] == server.results

    def test_ctrl_c_at_the_worst_moment(self, serve, monkeypatch):
        """Bytes left and nobody noted how many: the connection is over, the reader is told."""
        transport, _ = serve(echo)
        reader = background(lambda: receive(transport))

        def flush(outbox, send, encrypt):
            if threading.current_thread() is threading.main_thread():  # whom signals are for
                outbox._torn = True
                raise KeyboardInterrupt

        monkeypatch.setattr("telephony.runtime.outbox.Outbox.flush", flush)
        with pytest.raises(KeyboardInterrupt):
            transport.send("x", Deadline(1))
        assert transport.closed
        assert isinstance(reader.join(), ConnectionDown)


def test_frames_of_many_threads_do_not_mix(serve):
    """Large and small frames of eight senders arrive whole, each sender's in its order."""
    transport, _ = serve(echo)

    def send(letter):
        for number in range(40):
            transport.send(letter * (1 + number * 997) + str(number), Deadline(PATIENCE))

    senders = [background(lambda letter=letter: send(letter)) for letter in "abcdefgh"]
    messages = receive(transport, 320)
    assert [None] * 8 == [sender.join() for sender in senders]
    for letter in "abcdefgh":
        expected = [letter * (1 + number * 997) + str(number) for number in range(40)]
        assert expected == [text for text in messages if text.startswith(letter)]


def test_posted_rest_leaves_while_the_reader_waits(serve):
    """A frame that did not fit leaves when there is room, with nobody but the reader about."""
    go = threading.Event()

    def script(peer):
        peer.upgrade()
        go.wait(PATIENCE)
        opcode, payload = peer.frame()
        peer.send(frame(str(len(payload)).encode()))
        peer.until_gone()

    transport, _ = serve(script, 4096)
    reader = background(lambda: receive(transport))
    transport.post("x" * (6 << 20))
    go.set()
    assert [str(6 << 20)] == reader.join()


def test_options_hide_secrets():
    """Neither headers nor the proxy's password are in a repr."""
    options = TransportOptions(
        headers=(("Authorization", "Basic secret"),), proxy="http://user:secret@host:1"
    )
    transport = Transport("ws://user:secret@localhost/?token=secret", options)
    assert "secret" not in repr(options) + repr(transport)
