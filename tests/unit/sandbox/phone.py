"""A bare WebSocket client and HTTP calls, sharing no code with the library's client."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from typing import Any, Callable
from urllib.parse import urlsplit

import websocket

DIAL = {
    "to": "+15550001111",
    "from": "+15552223333",
    "channel": "room",
    "uid": "100",
    "token": "rtc-token",
    "region": "AREA_CODE_NA",
    "timeout": "60",
}
JOIN = {"channel": "support", "uid": "200", "token": "rtc-2"}
PATIENCE = 30.0


class Phone:
    """One connection. Frames are read when something is waited for, and kept until then."""

    def __init__(self, cm: Any, client_id: str = "client-1", **options: Any) -> None:
        self._ws = websocket.create_connection(
            cm.url, timeout=PATIENCE, sslopt=options.pop("sslopt", None)
        )
        self._numbers = itertools.count(1)
        self.pending: list[dict[str, Any]] = []
        self.client_id = client_id
        self.hello = self.frame()
        if options.pop("register", True):
            self.register(**{"auth_token": cm.auth_token, "appid": cm.app_id, **options})
            answer = self.frame()
            if answer != {"status": "registered", "client_id": client_id}:
                self.close()
                raise AssertionError(answer)

    def register(self, **fields: Any) -> None:
        self.send({"action": "register", "client_id": self.client_id, **fields})

    def send(self, frame: Any) -> None:
        self._ws.send(json.dumps(frame))

    def send_text(self, text: str) -> None:
        self._ws.send(text)

    def send_binary(self, payload: bytes) -> None:
        self._ws.send_binary(payload)

    def ping(self) -> None:
        self._ws.ping("are you there")

    def wait_opcode(self, opcode: int) -> bytes:
        """Read until a frame of this kind comes; other frames are dropped."""
        while True:
            got, data = self._ws.recv_data(control_frame=True)
            if got == opcode:
                return data

    def _receive(self, deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"nothing that fits among {self.pending}")
        self._ws.settimeout(remaining)
        try:
            text = self._ws.recv()
        except websocket.WebSocketTimeoutException:
            raise TimeoutError(f"nothing that fits among {self.pending}") from None
        if text == "":
            raise ConnectionError("closed")
        self.pending.append(json.loads(text))

    def wait(self, fits: Callable[[dict[str, Any]], bool], timeout: float = PATIENCE) -> Any:
        """Return the oldest frame that fits, and forget it."""
        deadline = time.monotonic() + timeout
        looked_at = 0
        while True:
            for index in range(looked_at, len(self.pending)):
                if fits(self.pending[index]):
                    return self.pending.pop(index)
            looked_at = len(self.pending)
            self._receive(deadline)

    def frame(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next frame, whatever it is."""
        return self.wait(lambda frame: True, timeout)  # type: ignore[no-any-return]

    def event(self, name: str, **fields: Any) -> Any:
        return self.wait(
            lambda frame: frame.get("event") == name
            and all(frame.get(key) == value for key, value in fields.items())
        )

    def command(self, action: str, **fields: Any) -> str:
        """Send a command and return its request id."""
        request_id = f"{action}_{next(self._numbers)}"
        self.send({"action": action, "request_id": request_id, **fields})
        return request_id

    def response(self, request_id: str, timeout: float = PATIENCE) -> Any:
        return self.wait(lambda frame: frame.get("request_id") == request_id, timeout)

    def ask(self, action: str, **fields: Any) -> Any:
        """Send a command and return its response."""
        return self.response(self.command(action, **fields))

    def take(self, action: str, **fields: Any) -> None:
        """Send a command that is carried out."""
        response = self.ask(action, **fields)
        expected = {"response": action, "status_code": 200, "data": {"success": True}}
        response.pop("request_id")
        assert expected == response

    def dial(self, **fields: Any) -> str:
        """Dial and return the call id of the answered call."""
        response = self.ask("outbound", **{**DIAL, **fields})
        assert response["data"]["success"] is True, response
        return str(response["data"]["callid"])

    def bridged_call(self, **fields: Any) -> str:
        call_id = self.dial(**fields)
        self.event("agora_bridge_start", callid=call_id)
        return call_id

    def events_until_now(self) -> list[dict[str, Any]]:
        """Return the events sent before this moment and not looked at yet."""
        self.ask("no such action")
        events = [frame for frame in self.pending if "event" in frame]
        self.pending = [frame for frame in self.pending if "event" not in frame]
        return events

    def hears_nothing(self, seconds: float) -> bool:
        """Return whether nothing comes for so long; what came before is forgotten."""
        self.events_until_now()
        self.pending.clear()
        try:
            self.frame(seconds)
        except TimeoutError:
            return True
        return False

    def wait_closed(self) -> None:
        """Read until the other side is gone."""
        try:
            while True:
                self._receive(time.monotonic() + PATIENCE)
        except (ConnectionError, websocket.WebSocketConnectionClosedException):
            pass

    def close(self) -> None:
        self._ws.shutdown()


def request(
    cm: Any, method: str, path: str, body: Any = None, token: str | None = None
) -> tuple[int, Any]:
    """Make an HTTP request; return the status and the JSON answered."""
    connection = http.client.HTTPConnection(urlsplit(cm.http_url).netloc, timeout=PATIENCE)
    try:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = token
        payload = body if isinstance(body, str) else json.dumps(body)
        connection.request(method, path, payload if body is not None else None, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class Lookup:
    """The gateway's question about an inbound call, held in a thread."""

    def __init__(self, cm: Any, did: str, **fields: Any) -> None:
        self._answer: tuple[int, Any] | None = None
        body = {"action": "lookup", "did": did, "pin": "", "callerid": "+1555", **fields}
        self._thread = threading.Thread(target=self._ask, args=(cm, body))
        self._thread.start()

    def _ask(self, cm: Any, body: dict[str, Any]) -> None:
        self._answer = request(cm, "POST", "/v1/api/service", body)

    def answer(self) -> tuple[int, Any]:
        self._thread.join(PATIENCE)
        assert self._answer is not None
        return self._answer
