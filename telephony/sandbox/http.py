"""The HTTP side: the gateway's lookups, the list of clients, and commands without a socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from telephony.sandbox.calls import LookupResult, Reply
from telephony.sandbox.clients import Registry
from telephony.sandbox.commands import Caller, Commands
from telephony.sandbox.inbound import Inbound
from telephony.sandbox.settings import Settings
from telephony.sandbox.switch import Switch


class HttpApi:
    """The three HTTP endpoints."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        switch: Switch,
        inbound: Inbound,
        commands: Commands,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._switch = switch
        self._inbound = inbound
        self._commands = commands

    def add_to(self, app: web.Application) -> None:
        """Serve the endpoints on ``app``."""
        app.router.add_get("/v1/api/websocket-status", self._status)
        app.router.add_post("/v1/api/service", self._service)
        app.router.add_post("/v1/api/pstn", self._pstn)

    async def _status(self, request: web.Request) -> web.Response:
        clients = [
            {
                "client_id": client.client_id,
                "appid": client.app_id,
                "subscribed_numbers": list(client.numbers),
            }
            for client in self._registry
        ]
        return web.json_response({"client_count": len(clients), "clients": clients})

    async def _service(self, request: web.Request) -> web.Response:
        """Hold the gateway's question about an inbound call until a client answers it."""
        body = await _body(request)
        if body is None:
            return _error("not a JSON object", 400)
        if body.get("action") != "lookup":
            return _error("unknown action", 400)
        did, from_, call_id = body.get("did"), body.get("callerid", ""), body.get("callid", "")
        if not isinstance(did, str) or not did:
            return _error("missing parameters: did", 500)
        if not isinstance(from_, str) or not isinstance(call_id, str):
            return _error("callerid and callid must be strings", 500)
        if call_id and self._switch.leg(call_id) is not None:
            return _error("callid is in use", 500)
        pin, app_id, headers = body.get("pin"), body.get("appid"), body.get("sip_headers")
        answered: asyncio.Future[LookupResult] = asyncio.get_running_loop().create_future()

        def answer(result: LookupResult) -> None:
            if not answered.done():
                answered.set_result(result)

        leg = self._inbound.offer(
            did,
            from_,
            app_id if isinstance(app_id, str) and app_id else None,
            call_id=call_id,
            pin=pin if isinstance(pin, str) else None,
            sip_headers=headers if isinstance(headers, dict) else None,
            lookup=answer,
        )
        try:
            result = await answered
        except asyncio.CancelledError:
            # The gateway hung up: its caller did, or it has waited long enough.
            self._switch.far_end_hangs_up(leg, "ORIGINATOR_CANCEL")
            raise
        return web.json_response(dict(result.body), status=result.status)

    async def _pstn(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "")
        if not self._settings.known_token(token):
            return _error("unauthorized", 401)
        body = await _body(request)
        if body is None:
            return _error("not a JSON object", 400)
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def answer(reply: Reply) -> None:
            if not answered.done():
                answered.set_result(reply)

        self._commands.execute(body, Caller("", token=token), answer)
        reply = await answered
        if reply.error is not None:
            return _error(reply.error, reply.status)
        return web.json_response(dict(reply.data or {}), status=reply.status)


async def _body(request: web.Request) -> dict[str, Any] | None:
    """Return the JSON object a request carries, or None."""
    try:
        body = json.loads(await request.text())
    except (ValueError, LookupError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _error(text: str, status: int) -> web.Response:
    return web.json_response({"error": text}, status=status)
