"""The WebSocket connection to a Call Manager, for one reading thread and many writing ones.

``open()`` makes it, within one deadline; then one thread calls ``receive()`` over and over and
any thread calls the rest. Who waits where, and what is sent when, is `stream`'s; what the bytes
mean is `frames`'; what is said before the upgrade is `handshake`'s. Here they are put together,
and everything foreign is turned into this project's own errors.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from typing import ContextManager, Generator, Literal

import attrs
from websocket import ABNF

from telephony.errors import ConnectError, InvalidArgumentError
from telephony.runtime import frames, handshake, resolve
from telephony.runtime.deadline import Deadline
from telephony.runtime.descriptor import ConnectionDown
from telephony.runtime.stream import Stream, words

__all__ = ["ConnectionDown", "Transport", "TransportOptions"]

_GOING = "the connection was closed here"


@attrs.frozen
class TransportOptions:
    """How to connect, and how much to take in."""

    ssl_context: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    proxy: str | Literal[False] | None = attrs.field(default=None, repr=False)
    max_message_size: int = 1 << 20
    max_fragments: int = 1000


class Transport:
    """One connection, used once: ``open()``, then ``receive()`` and ``send()`` until it is gone.

    Making one touches no network. ``last_seen`` is ``time.monotonic()`` when bytes last came.
    """

    def __init__(self, url: str, options: TransportOptions) -> None:
        self._endpoint = handshake.Endpoint.parse(url)
        handshake.check_headers(options.headers)
        if options.proxy:
            handshake.Proxy.parse(options.proxy)
        self._options = options
        self._stream = Stream()
        self._reader = frames.FrameReader(options.max_message_size, options.max_fragments)
        self.last_seen = time.monotonic()
        self.opened = False
        self.phase = "dns"  # what open() is at

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open" if self.opened else "not open"
        return f"<Transport {self._endpoint.authority} {state}>"

    @property
    def closed(self) -> bool:
        """Nothing can be sent any more (what the server sent before may still be read)."""
        return self._stream.down is not None

    def open(self, deadline: Deadline) -> None:
        """DNS, TCP, proxy, TLS and upgrade; blocks no longer than ``deadline`` or an abort().

        Raises ConnectError (its ``phase`` says where), or RegistrationError for 401 and 403.
        """
        stream, endpoint = self._stream, self._endpoint
        try:
            proxy = handshake.choose_proxy(endpoint, self._options.proxy)
            target = proxy or endpoint
            place = f"{'the proxy ' if proxy else ''}{target.host}"
            with self._phase("proxy" if proxy else "dns", f"cannot reach {place}"):
                stream.prepare()
                addresses = resolve.resolve(target.host, target.port, stream, deadline)
            with self._phase("proxy" if proxy else "tcp", f"cannot reach {place}:{target.port}"):
                stream.connect(addresses, deadline)
            if proxy is not None:
                with self._phase("proxy", f"no tunnel through {place}:{target.port}"):
                    handshake.tunnel(stream, endpoint, proxy, deadline)
            if endpoint.secure:
                with self._phase("tls", f"no TLS connection with {endpoint.authority}"):
                    context = self._options.ssl_context or ssl.create_default_context()
                    stream.start_tls(context, endpoint.host, deadline)
            with self._phase("upgrade", f"no WebSocket connection with {endpoint.authority}"):
                handshake.upgrade(stream, endpoint, self._options.headers, deadline)
        except BaseException:
            stream.abort(_GOING)
            raise
        self.last_seen = time.monotonic()
        self.phase, self.opened = "register", True

    def _phase(self, phase: str, trouble: str) -> ContextManager[None]:
        self.phase = phase
        return _mapped(phase, trouble)

    def receive(self, timeout: float | None) -> list[str | bytes]:
        """Every whole message at hand, in order; the reader's thread only.

        Blocks until bytes come, at most ``timeout`` seconds (None: for ever); what comes may be
        less than a message, or a wake to send something: then the list is empty. Text is str; a
        message that is binary or not UTF-8 is bytes. Raises ConnectionDown, once the messages
        before it were returned.
        """
        self._check_opened()
        stream = self._stream
        while self._reader.end is None:
            # To read after a read that took all there was would be a system call for nothing.
            waited = not stream.more
            if waited:
                stream.wait_for_bytes(timeout)
            data = stream.read()
            if data is not None:
                messages = self._take(data)
                if messages or self._reader.end is None:
                    return messages
            elif waited:
                return []
        end = self._reader.end
        if end.goodbye is not None:
            with contextlib.suppress(ConnectionDown):
                self._stream.post(frames.encode_close(end.goodbye))
        self._stream.abort(end.reason)
        raise ConnectionDown(end.reason, protocol_error=end.protocol_error)

    def _take(self, data: bytes) -> list[str | bytes]:
        if not data:
            self._reader.end = frames.End("the server closed the connection without a word", None)
            return []
        self.last_seen = time.monotonic()
        messages = self._reader.feed(data)
        if self._reader.pings:
            pongs = [frames.encode(ABNF.OPCODE_PONG, ping) for ping in self._reader.pings]
            self._reader.pings.clear()
            with contextlib.suppress(ConnectionDown):  # the next read says so
                self._stream.post(b"".join(pongs))
        return messages

    def _check_opened(self) -> None:
        # A frame sent sooner would land inside the handshake.
        if not self.opened:
            raise ConnectionDown("there is no connection yet", nothing_sent=True)

    def send(self, text: str, deadline: Deadline) -> None:
        """Send one text message; any thread. Blocks until the kernel has all of it.

        Else ConnectionDown, no later than ``deadline``. With ``nothing_sent`` not a byte left;
        then the connection may still be up (see ``closed``), stuck behind another's frame.
        """
        self._check_opened()
        self._stream.write(_encode(text), deadline)

    def post(self, text: str) -> None:
        """Queue one text message; any thread, never blocks. ConnectionDown if too much waits."""
        self._check_opened()
        self._stream.post(_encode(text))

    def wake(self) -> None:
        """Have ``receive()`` return, with nothing; any thread, never blocks."""
        self._stream.wake()

    def ping(self) -> None:
        """Queue a ping; any thread, never blocks."""
        self._check_opened()
        self._stream.post(frames.encode(ABNF.OPCODE_PING, b""))

    def close(self, timeout: float = 0.0) -> None:
        """Say goodbye if that can leave within ``timeout`` seconds, then abort(). Never raises."""
        if self.opened and not self.closed and self._stream.try_lock(timeout):
            with contextlib.suppress(ConnectionDown):
                self._stream.write(frames.encode_close(1000), Deadline(timeout))
        self.abort()

    def abort(self) -> None:
        """End the connection and wake every thread in it; any thread, never blocks or raises."""
        self._stream.abort(_GOING)

    def abandon(self) -> None:
        """In a forked child: close the descriptors, and say nothing to the server."""
        self._stream.abandon()


def _encode(text: str) -> bytes:
    try:
        return frames.encode(ABNF.OPCODE_TEXT, text.encode())
    except UnicodeEncodeError:
        raise InvalidArgumentError("the text holds half a surrogate pair") from None


@contextlib.contextmanager
def _mapped(phase: str, what: str) -> Generator[None, None, None]:
    """Turn what the network, TLS and ``stream`` raise while connecting into ConnectError.

    The cause is cut off: we say what is known of it, and its own text may hold more.
    """
    permanent = False
    try:
        yield
        return
    except ConnectError:
        raise
    except ConnectionDown as error:
        why = error.reason
    except TimeoutError:
        why = "no answer in the time given"
    except ssl.SSLCertVerificationError as error:
        permanent = True
        why = f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    except socket.gaierror as error:
        why = f"the name cannot be resolved ({(error.strerror or 'no reason given').lower()})"
    except UnicodeError:
        why = "the name is not a valid one"
    except OSError as error:
        why = words(error)
    raise ConnectError(f"{what}: {why}", phase=phase, permanent=permanent) from None
