"""The proxy does to a connection what it is told to, and leaves nothing behind."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.faults.proxy import DOWN, FIN, RST, UP, Proxy

SECONDS = 10.0


class Echo:
    """A server that keeps what it hears, and says it back in capitals."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard: list[bytes] = []  # per receive
        self.ends: list[str] = []
        self.ended = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            end, _ = self._listener.accept()
            if not self._threads:
                end.close()
                return
            thread = threading.Thread(target=self._serve, args=(end,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, end: socket.socket) -> None:
        with end:
            try:
                while data := end.recv(1 << 16):
                    self.heard.append(data)
                    end.sendall(data.upper())
                self.ends.append("fin")
            except ConnectionResetError:
                self.ends.append("rst")
            self.ended.release()

    def stop(self) -> None:
        threads, self._threads = self._threads, []
        socket.create_connection(("127.0.0.1", self.port)).close()
        for thread in threads:
            thread.join(SECONDS)
        self._listener.close()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.stop()


@pytest.fixture
def proxy(echo):
    with Proxy(echo.port) as between:
        yield between


@pytest.fixture
def end(proxy):
    """A client's end of a connection through the proxy."""
    with socket.create_connection(("127.0.0.1", proxy.port), SECONDS) as client:
        yield client


def told(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = end.recv(size - len(data))
        if not piece:
            break
        data += piece
    return data


def silent(end: socket.socket) -> bool:
    """Whether nothing comes for a moment, in which on loopback everything would have."""
    end.settimeout(0.05)
    try:
        return not end.recv(1, socket.MSG_PEEK) and False
    except TimeoutError:
        return True
    finally:
        end.settimeout(SECONDS)


def outcome(end: socket.socket) -> tuple[bytes, str]:
    """What still comes, and how it ends."""
    data = b""
    try:
        while piece := end.recv(1 << 16):
            data += piece
        return data, "fin"
    except ConnectionResetError:
        return data, "rst"


def test_passes_on(end, proxy):
    """Undisturbed it passes on what comes, and keeps it on its tapes."""
    end.sendall(b"hello")
    assert b"HELLO" == told(end, 5)
    (link,) = proxy.links
    proxy.sync()
    assert (b"hello", b"HELLO") == (link.tape(UP), link.tape(DOWN))
    end.shutdown(socket.SHUT_WR)
    assert (b"", "fin") == outcome(end)
    assert link.closed.wait(SECONDS)
    assert 0 == proxy.open_links


def test_a_megabyte(end, proxy):
    """More than any buffer holds gets through, while nobody reads at first."""
    data = bytes(range(97, 123)) * 40_000
    sender = threading.Thread(target=end.sendall, args=(data,))
    sender.start()
    assert data.upper() == told(end, len(data))
    sender.join(SECONDS)
    assert not sender.is_alive()


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_slices(end, proxy, direction):
    """Sliced to single bytes it is still all there, in order."""
    proxy.slice(direction, 1)
    end.sendall(b"abcdefghij" * 20)
    assert b"ABCDEFGHIJ" * 20 == told(end, 200)
    (link,) = proxy.links
    proxy.sync()
    assert 200 == (link.up if direction == UP else link.down).pieces


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_hold(end, proxy, echo, direction):
    """What is held back comes when it may go on, and not sooner."""
    proxy.hold(direction)
    end.sendall(b"hello")
    assert silent(end)
    assert direction == DOWN or [] == echo.heard
    proxy.hold(direction, False)
    assert b"HELLO" == told(end, 5)


def test_trickle(end, proxy):
    """Of what is held back one piece goes, and then another."""
    proxy.slice(DOWN, 2)
    end.sendall(b"hi")
    assert b"HI" == told(end, 2)
    proxy.hold(DOWN)
    end.sendall(b"hello")
    while not proxy.trickle(DOWN):  # until the echo has come as far as this
        pass
    assert b"HE" == told(end, 2)
    assert silent(end)
    assert [2, 1, 0] == [proxy.trickle(DOWN) for _ in range(3)]
    assert b"LLO" == told(end, 3)


def test_wait_accepted(proxy):
    """It counts those that came, and waits for those to come."""
    assert not proxy.wait_accepted(1, 0.01)
    with socket.create_connection(("127.0.0.1", proxy.port), SECONDS):
        assert proxy.wait_accepted(1, SECONDS)


def test_stop_reading(end, proxy):
    """When the proxy does not read, the sender gets stuck in the end."""
    proxy.stop_reading(UP)
    end.settimeout(0.2)
    with pytest.raises(TimeoutError):
        while True:
            end.send(b"x" * (1 << 16))
    assert b"" == proxy.links[0].tape(UP)
    proxy.heal()
    end.settimeout(SECONDS)
    assert b"X" * 1000 == told(end, 1000)


def test_delay(end, proxy):
    """What is delayed comes, and healing lets it come at once."""
    proxy.delay(DOWN, 0.01)
    end.sendall(b"soon")
    assert b"SOON" == told(end, 4)
    proxy.delay(DOWN, 3600)
    end.sendall(b"late")
    assert silent(end)
    proxy.heal()
    assert b"LATE" == told(end, 4)


@pytest.mark.parametrize("how", [FIN, RST])
@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_cut_of_what_comes(end, proxy, echo, after, how):
    """After so many bytes more the client has them, and the end; the server too."""
    end.sendall(b"before")
    assert b"BEFORE" == told(end, 6)
    cut = proxy.cut(DOWN, after, how)
    end.sendall(b"hello world")
    assert (b"HELLO"[:after], how) == outcome(end)
    assert cut.done.wait(SECONDS)
    assert echo.ended.acquire(timeout=SECONDS)
    assert [how] == echo.ends
    assert (how, b"BEFOREHELLO"[:6 + after]) == (proxy.links[0].over, proxy.links[0].tape(DOWN))


@pytest.mark.parametrize("how", [FIN, RST])
@pytest.mark.parametrize("after", [0, 1, 4])
def test_cut_of_what_goes(end, proxy, echo, after, how):
    """After so many bytes more the server hears no more; a cut happens once."""
    proxy.mark()
    cut = proxy.cut(UP, after, how)
    end.sendall(b"hello world")
    assert how == outcome(end)[1]
    assert cut.done.wait(SECONDS)
    assert echo.ended.acquire(timeout=SECONDS)
    assert b"hello world"[:after] == proxy.links[0].tape(UP)
    if how == FIN:  # a reset takes with it what was not read yet
        assert b"hello world"[:after] == b"".join(echo.heard)
    with socket.create_connection(("127.0.0.1", proxy.port), SECONDS) as other:
        other.sendall(b"again")
        assert b"AGAIN" == told(other, 5)


def test_half_close(end, proxy, echo):
    """The client hears the server's last word, which the server has not said."""
    end.sendall(b"hello")
    assert b"HELLO" == told(end, 5)
    proxy.half_close(DOWN)
    assert (b"", "fin") == outcome(end)
    end.sendall(b"still")
    end.shutdown(socket.SHUT_WR)
    assert echo.ended.acquire(timeout=SECONDS)
    assert b"hellostill" == b"".join(echo.heard)


@pytest.mark.parametrize("how", [FIN, RST])
def test_end(end, proxy, echo, how):
    """Every connection is ended at once, either way."""
    end.sendall(b"hello")
    assert b"HELLO" == told(end, 5)
    proxy.end(how)
    assert (b"", how) == outcome(end)
    assert echo.ended.acquire(timeout=SECONDS)
    assert [how] == echo.ends


def test_blackhole(end, proxy, echo):
    """All is swallowed, for those who come too; healed, such a connection is reset."""
    end.sendall(b"hello")
    assert b"HELLO" == told(end, 5)
    proxy.blackhole()
    with socket.create_connection(("127.0.0.1", proxy.port), SECONDS) as other:
        for client in (end, other):
            client.sendall(b"lost")
            assert silent(client)
        assert [b"hello"] == echo.heard
        proxy.heal()
        assert [(b"", "rst")] * 2 == [outcome(end), outcome(other)]
    with socket.create_connection(("127.0.0.1", proxy.port), SECONDS) as other:
        other.sendall(b"again")
        assert b"AGAIN" == told(other, 5)


def test_refuse(end, proxy):
    """Who connects is refused, and later finds the same port again."""
    proxy.refuse()
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), SECONDS)
    end.sendall(b"hello")
    assert b"HELLO" == told(end, 5)
    proxy.refuse(False)
    with socket.create_connection(("127.0.0.1", proxy.port), SECONDS) as other:
        other.sendall(b"again")
        assert b"AGAIN" == told(other, 5)


def test_no_server_behind():
    """Without a server behind it whoever connects is cut off, and nothing is left of it."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with Proxy(port) as proxy:
        with pytest.raises(ConnectionResetError):
            with socket.create_connection(("127.0.0.1", proxy.port), SECONDS) as client:
                client.recv(1)
        assert (1, 0) == (proxy.accepted, proxy.open_links)


def test_stops_at_once_whatever_it_is_doing(echo):
    """With bytes held, delayed, swallowed and stuck it ends, and every end with it."""
    with Proxy(echo.port) as proxy:
        ends = [socket.create_connection(("127.0.0.1", proxy.port), SECONDS) for _ in range(3)]
        proxy.delay(DOWN, 3600)
        proxy.hold(UP)
        for client in ends:
            client.sendall(b"hello")
        proxy.blackhole()
        proxy.stop()
        assert [(b"", "rst")] * 3 == [outcome(client) for client in ends]
        proxy.heal()  # too late, and no error
    for client in ends:
        client.close()
