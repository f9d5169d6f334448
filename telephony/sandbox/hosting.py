"""What is started and stopped: a server on a thread of its own, for as long as it is wanted."""

from __future__ import annotations

import ssl as ssl_module
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from telephony.errors import InvalidArgumentError

if TYPE_CHECKING:
    from telephony.sandbox.serving import ServerThread, Serving

    S = TypeVar("S", bound=Serving)
else:
    S = TypeVar("S")

H = TypeVar("H", bound="Hosted[Any]")


class Hosted(Generic[S]):
    """Something served while it is started; as a context manager.

    Raises `InvalidArgumentError` for a port that is none, and ImportError without aiohttp.
    """

    _running: ServerThread[S] | None = None

    def __init__(
        self, host: str, port: int, ssl_context: ssl_module.SSLContext | None = None
    ) -> None:
        try:
            import aiohttp  # noqa: F401
        except ImportError as error:
            raise ImportError(
                'the sandbox needs aiohttp: pip install "agora-telephony[sandbox]"'
            ) from error
        if not isinstance(port, int) or not 0 <= port < 65536:
            raise InvalidArgumentError(f"port must be from 0 to 65535, is {port!r}")
        self._host = host
        self._port = port
        self._ssl_context = ssl_context
        self._lock = threading.Lock()  # guards starting and stopping

    def _make(self) -> S:
        """Make what is to be served, on its thread."""
        raise NotImplementedError

    def _server(self) -> S:
        """Return what is served; raises TelephonyError while nothing is."""
        raise NotImplementedError

    def start(self: H) -> H:
        """Listen, and return self; again while running: nothing. Raises OSError: port taken."""
        from telephony.sandbox.serving import ServerThread

        with self._lock:
            if self._running is None:
                running = ServerThread(self._host, self._port, self._ssl_context, self._make)
                running.start()
                self._port = running.port
                self._running = running
        return self

    def stop(self) -> None:
        """Cut every connection and end the thread; again: nothing."""
        with self._lock:
            running, self._running = self._running, None
            if running is not None:
                running.stop()

    def __enter__(self: H) -> H:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start when the system is to choose."""
        return self._port

    @property
    def url(self) -> str:
        """The WebSocket URL for clients."""
        return f"{self._address('ws')}/v1/ws/events"

    def _address(self, scheme: str) -> str:
        from telephony.sandbox.serving import url_host

        self._server()
        secure = "s" if self._ssl_context is not None else ""
        return f"{scheme}{secure}://{url_host(self._host)}:{self._port}"
