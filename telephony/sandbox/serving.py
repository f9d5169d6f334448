"""Sockets: the listening port, and the thread that a server lives on."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from typing import AsyncIterator, Callable, Generic, Protocol, TypeVar

from aiohttp import web

# How long a closing WebSocket waits for the other side to say goodbye, in real seconds.
GOODBYE = 1.0


@contextlib.asynccontextmanager
async def listening_on(
    app: web.Application, host: str, port: int, ssl_context: ssl.SSLContext | None
) -> AsyncIterator[int]:
    """Serve ``app`` inside; gives the port. Raises OSError if it is taken."""
    # A gateway that hangs up on its lookup must be noticed: hence the cancellation.
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=GOODBYE
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=ssl_context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def url_host(host: str) -> str:
    """Return how to reach ``host`` from this machine, as it is written in a URL."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1" if host != "::" else "[::1]"
    return f"[{host}]" if ":" in host else host


class Serving(Protocol):
    """What can be served; made on the loop that it lives on."""

    async def serve(
        self,
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None,
        listening: Callable[[int], None],
        stop: asyncio.Event,
    ) -> None:
        """Listen until ``stop``; ``listening`` hears the port. Raises OSError if it is taken."""


S = TypeVar("S", bound=Serving)


class ServerThread(Generic[S]):
    """A thread with a loop with a server."""

    def __init__(
        self,
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None,
        make: Callable[[], S],
    ) -> None:
        self.port = port
        self._host = host
        self._ssl_context = ssl_context
        self._make = make
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=self._main, name="telephony-sandbox", daemon=True
        )
        self.server: S
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def start(self) -> None:
        """Return once it listens; raises OSError when the port cannot be had."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Return once the thread has ended and its sockets are closed."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def is_current(self) -> bool:
        """Return whether the caller is on this thread."""
        return threading.current_thread() is self._thread

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.is_set():
                raise
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.server = self._make()
        await self.server.serve(
            self._host, self.port, self._ssl_context, self._listening, self._stop
        )

    def _listening(self, port: int) -> None:
        self.port = port
        self._ready.set()
