"""One run of the Call Manager: its WebSocket endpoint and what stands behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any, AsyncGenerator

from aiohttp import WSMsgType, web

from telephony.sandbox.audio import Audio
from telephony.sandbox.calls import Reply
from telephony.sandbox.clients import Connection, Registry
from telephony.sandbox.clock import Clock
from telephony.sandbox.commands import Caller, Commands, Refused, numbers_of
from telephony.sandbox.dialplan import DialPlan
from telephony.sandbox.faults import Faults
from telephony.sandbox.http import HttpApi
from telephony.sandbox.inbound import Inbound
from telephony.sandbox.journal import Journal
from telephony.sandbox.outbound import Outbound
from telephony.sandbox.serving import GOODBYE
from telephony.sandbox.settings import Settings
from telephony.sandbox.switch import Switch

logger = logging.getLogger(__name__)

MAX_MESSAGE = 1024 * 1024
POLICY_VIOLATION = 1008


class Server:
    """One run of the Call Manager, from listening to silence. Lives on an asyncio loop."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        dialplan: DialPlan,
        faults: Faults,
        *,
        time_scale: float,
        ping_interval: float,
        ping_timeout: float,
        register_timeout: float,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._faults = faults
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._register_timeout = register_timeout
        self._loop = asyncio.get_running_loop()
        # Set while the Call Manager speaks; whoever connects in the silence waits for it.
        self._speaking = asyncio.Event()
        self._stopping = False
        if not faults.silent:
            self._speaking.set()
        self.registry = Registry()
        self.switch = Switch(settings, Clock(self._loop, time_scale), self.registry)
        audio = Audio(self.switch)
        self.inbound = Inbound(self.switch, audio)
        outbound = Outbound(self.switch, audio, self.inbound, dialplan)
        self.commands = Commands(
            settings, self.registry, faults, self.switch, audio, self.inbound, outbound
        )

    def application(self) -> web.Application:
        """Return what answers the requests."""
        app = web.Application(client_max_size=MAX_MESSAGE)
        app.router.add_get("/v1/ws/events", self._websocket)
        HttpApi(self._settings, self.registry, self.switch, self.inbound, self.commands).add_to(app)
        return app

    @contextlib.asynccontextmanager
    async def living(self, url: str) -> AsyncGenerator[None, None]:
        """Ping the clients inside, and in the end cut them off and forget every call."""
        self.commands.webhook_url = f"{url}/v1/api/webhook"
        pinger = asyncio.ensure_future(self._ping_forever())
        try:
            yield
        finally:
            pinger.cancel()
            self._stopping = True
            self.switch.end_all()
            self._speaking.set()
            self.registry.abort_all()

    def silence(self, on: bool) -> None:
        """Stop speaking on the WebSockets, or begin again."""
        self._faults.silent = on
        if on:
            self._speaking.clear()
        else:
            self._speaking.set()

    async def _ping_forever(self) -> None:
        """Ping every connection now and then, and drop those that have gone silent."""
        tick = min(self._ping_interval, self._ping_timeout) / 5
        since_ping = 0.0
        while True:
            await asyncio.sleep(tick)
            since_ping += tick
            now = self._loop.time()
            ping = since_ping >= self._ping_interval - tick / 2
            for connection in list(self.registry.connections):
                if now - connection.last_seen > self._ping_timeout:
                    connection.abort()
                elif ping:
                    connection.ping()
            if ping:
                since_ping = 0.0

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        await self._speaking.wait()
        if self._stopping:
            raise web.HTTPServiceUnavailable()
        ws = web.WebSocketResponse(
            autoping=False, autoclose=False, compress=False, timeout=GOODBYE,
            max_msg_size=MAX_MESSAGE,
        )  # fmt: skip
        with contextlib.suppress(ConnectionResetError):  # the client has left; aiohttp sees to it
            await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        connection = Connection(ws, transport, self._faults, self._loop)
        self.registry.connections.add(connection)
        writer = asyncio.ensure_future(connection.write_until_closed())
        connection.send({"status": "connected", "session_id": connection.session_id})
        patience = self._loop.call_later(self._register_timeout, self._give_up_on, connection)
        try:
            await self._read(ws, connection, writer)
        finally:
            patience.cancel()
            writer.cancel()
            self.registry.remove(connection)
        return ws

    def _give_up_on(self, connection: Connection) -> None:
        if not connection.registered:
            connection.send({"error": "not registered in time"})
            connection.close(POLICY_VIOLATION, "not registered in time")

    async def _read(
        self, ws: web.WebSocketResponse, connection: Connection, writer: asyncio.Future[None]
    ) -> None:
        while True:
            message = await ws.receive()
            connection.last_seen = self._loop.time()
            if message.type is WSMsgType.TEXT:
                self._text(connection, message.data)
            elif message.type is WSMsgType.PING:
                connection.pong(bytes(message.data))
            elif message.type is WSMsgType.BINARY:
                connection.send({"error": "not a text frame"})
            elif message.type is WSMsgType.CLOSE:
                if self._faults.silent:
                    connection.abort()
                else:
                    await ws.close()
                return
            elif message.type is WSMsgType.CLOSING:
                # Our own close is under way: let it finish.
                await asyncio.wait([writer])
                return
            elif message.type is not WSMsgType.PONG:
                return

    def _text(self, connection: Connection, text: str) -> None:
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            connection.send({"error": "not JSON"})
            return
        if not isinstance(frame, dict):
            connection.send({"error": "not a JSON object"})
            return
        self._journal.record(frame)
        action = frame.get("action")
        if not isinstance(action, str):
            action = ""
        echo = {"request_id": frame["request_id"]} if "request_id" in frame else {}
        if action == "register":
            self._register(connection, frame, echo)
            return
        if not connection.registered:
            connection.send_response(action, {"error": "not registered", **echo})
            return

        def reply(answer: Reply) -> None:
            response: dict[str, Any]
            if answer.error is not None:
                response = {"error": answer.error, **echo}
            else:
                data = dict(answer.data or {})
                code = answer.status_code
                response = {"response": action, "status_code": code, "data": data, **echo}
            connection.send_response(action, response)

        caller = Caller(connection.app_id, connection.client_id, connection)
        try:
            self.commands.execute(frame, caller, reply)
        except Exception:
            # A fault of the sandbox's own: said to the client, told in full in the log.
            logger.exception("the command %.80r failed", action)
            reply(Reply(error="internal error", status=500))

    def _register(
        self, connection: Connection, frame: dict[str, Any], echo: dict[str, Any]
    ) -> None:
        refusal = self._faults.take_refusal("register")
        if refusal is not None:
            self._turn_away(connection, {**refusal.of_registration(), **echo})
            return
        try:
            app_id, token = frame.get("appid"), frame.get("auth_token")
            client_id = frame.get("client_id")
            if not isinstance(app_id, str) or not isinstance(token, str):
                raise Refused("unauthorized", 401)
            if not self._settings.authorised(app_id, token):
                raise Refused("unauthorized", 401)
            if not isinstance(client_id, str) or not client_id:
                raise Refused("missing parameters: client_id", 500)
            numbers = numbers_of(frame.get("subscribe_numbers"), "subscribe_numbers")
        except Refused as refused:
            self._turn_away(connection, {"error": refused.reply.error, **echo})
            return
        replaced = self.registry.register(connection, client_id, app_id, numbers)
        if replaced is not None and replaced is not connection:
            replaced.close(POLICY_VIOLATION, "replaced by another registration")
        answer = {"status": "registered", "client_id": client_id, **echo}
        connection.send_response("register", answer)

    def _turn_away(self, connection: Connection, answer: dict[str, Any]) -> None:
        """Refuse a registration, and close when that was said."""
        connection.send_response("register", answer)
        delay = self._faults.delay_of("register")
        self._loop.call_later(delay, connection.close, POLICY_VIOLATION, "not registered")
