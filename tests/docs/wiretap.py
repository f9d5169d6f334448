"""What went over the wire, in order: a WebSocket proxy between a client and the sandbox."""

from __future__ import annotations

import json
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from tests.scripted import SECONDS, close_pipe


class Wiretap:
    """Listens on a port of its own and passes every frame on; as a context manager.

    ``frames`` are (from the client?, frame). A frame is noted before it is passed on, so what
    follows from one comes after it.
    """

    def __init__(self, url: str) -> None:
        self.frames: list[tuple[bool, dict[str, Any]]] = []
        self._changed = threading.Condition()  # guards frames
        self._to = url
        self._server = serve(self._serve, "127.0.0.1", 0, ping_interval=None, close_timeout=1)
        self._thread = threading.Thread(target=self._server.serve_forever, name="wiretap")
        host, port = self._server.socket.getsockname()[:2]
        self.url = f"ws://{host}:{port}"

    def _serve(self, client: ServerConnection) -> None:
        with connect(self._to, ping_interval=None, close_timeout=1, proxy=None) as cm:
            back = threading.Thread(target=self._pass_on, args=(cm, client, False), name="tap-back")
            back.start()
            self._pass_on(client, cm, True)
            cm.close()
            back.join(SECONDS)

    def _pass_on(self, source: Any, sink: Any, from_client: bool) -> None:
        try:
            for text in source:
                with self._changed:
                    self.frames.append((from_client, json.loads(text)))
                    self._changed.notify_all()
                sink.send(text)
        except ConnectionClosed:
            pass
        sink.close()

    def wait_for(self, name: str, count: int = 1) -> None:
        """Wait until *count* frames with this event, response or action were passed on."""

        def seen() -> bool:
            words = [
                frame.get("event") or frame.get("response") or frame.get("action")
                for _, frame in self.frames
            ]
            return words.count(name) >= count

        with self._changed:
            assert self._changed.wait_for(seen, SECONDS), f"no {name} within {SECONDS} s"

    def __enter__(self) -> Wiretap:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(SECONDS)
        close_pipe(self._server)
