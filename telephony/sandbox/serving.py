"""Sockets: the listening port, and the thread that a server lives on."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import AsyncContextManager, Callable, Generic, Protocol, TypeVar

from aiohttp import web

# How long a closing WebSocket waits for the other side to say goodbye, in real seconds.
GOODBYE = 1.0


def url_host(host: str) -> str:
    """Return how to reach ``host`` from this machine, as it is written in a URL."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1" if host != "::" else "[::1]"
    return f"[{host}]" if ":" in host else host


class Serving(Protocol):
    """What can be served; made on the loop that it lives on."""

    def application(self) -> web.Application:
        """Return what answers the requests."""
        ...

    def living(self, url: str) -> AsyncContextManager[None]:
        """Live while it is served, under the HTTP URL ``url``; end all that is its own."""
        ...


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
        # A gateway that hangs up on its lookup must be noticed: hence the cancellation.
        runner = web.AppRunner(
            self.server.application(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=GOODBYE,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self.port, ssl_context=self._ssl_context)
            await site.start()
            self.port = runner.addresses[0][1]
            scheme = "http" if self._ssl_context is None else "https"
            async with self.server.living(f"{scheme}://{url_host(self._host)}:{self.port}"):
                self._ready.set()
                await self._stop.wait()
        finally:
            await runner.cleanup()
