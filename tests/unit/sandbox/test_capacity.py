"""A thousand calls at once and two hundred clients, without one command failing."""

from __future__ import annotations

import asyncio
import json
import os
import time

import aiohttp

from tests.unit.sandbox.phone import DIAL, JOIN

CLIENTS = 200
CALLS_EACH = 5


class Caller:
    """A client that dials some calls, sends digits on each and hangs up when all are up."""

    def __init__(self, name, everybody_is_up):
        self.name = name
        self.events = []
        self.failed = []
        self.up = 0
        self.ended = 0
        self._everybody_is_up = everybody_is_up

    async def run(self, http, cm):
        async with http.ws_connect(cm.url, autoping=True) as self.ws:
            await self.ws.receive_json()
            await self.ws.send_json(
                {"action": "register", "auth_token": cm.auth_token, "appid": cm.app_id,
                 "client_id": self.name}
            )  # fmt: skip
            assert "registered" == (await self.ws.receive_json())["status"]
            for number in range(CALLS_EACH):
                await self.command("outbound", number, **{**DIAL, "uid": str(number)})
            calls = {}
            while self.ended < CALLS_EACH:
                frame = json.loads((await self.ws.receive(timeout=60)).data)
                if "event" in frame:
                    await self.event(frame, calls)
                elif not frame.get("data", {}).get("success"):
                    self.failed.append(frame)

    async def command(self, action, number, **fields):
        frame = {"action": action, "request_id": f"{action}_{number}", **fields}
        await self.ws.send_json(frame)

    async def event(self, frame, calls):
        self.events.append((frame["event"], frame["callid"]))
        number, call_id = frame["uid"], frame["callid"]
        if frame["event"] == "agora_bridge_start":
            calls[number] = call_id
            await self.command("send_dtmf", number, callid=call_id, digits=number)
        elif frame["event"] == "dtmf_received":
            assert number == frame["digits"]
            self.up += 1
            if self.up == CALLS_EACH:
                await self._everybody_is_up()
                for number, call_id in calls.items():
                    await self.command("endcall", number, callid=call_id)
        elif frame["event"] == "call_hangup":
            self.ended += 1


def test_capacity(sandbox):
    """Every call of every client runs its whole course while all the others are up."""
    cm = sandbox(time_scale=2.0)
    most_at_once = 0

    async def main():
        waiting, all_up = [], asyncio.Event()

        async def everybody_is_up():
            nonlocal most_at_once
            waiting.append(None)
            if len(waiting) == CLIENTS:
                most_at_once = sum(not call.ended for call in cm.calls)
                all_up.set()
            await asyncio.wait_for(all_up.wait(), 60)

        callers = [Caller(f"client-{n}", everybody_is_up) for n in range(CLIENTS)]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            await asyncio.gather(*(caller.run(http, cm) for caller in callers))
        # Let the transports finish closing, so that none is left for the collector.
        await asyncio.sleep(0.05)
        return callers

    began = time.monotonic()
    callers = asyncio.run(main())
    took = time.monotonic() - began
    assert [] == [failure for caller in callers for failure in caller.failed]
    assert CLIENTS * CALLS_EACH == most_at_once
    for caller in callers:
        for call_id in {call_id for _, call_id in caller.events if call_id}:
            assert [
                "call_answered", "agora_bridge_start", "dtmf_received", "agora_bridge_end",
                "call_hangup",
            ] == [name for name, of in caller.events if of == call_id]  # fmt: skip
        assert 2 * CALLS_EACH == sum(not call_id for _, call_id in caller.events)
    assert took < 60, f"{took:.1f} s on {os.cpu_count()} processors"


def test_a_call_for_everybody(sandbox):
    """Two hundred clients are offered a call, all want it, one gets it."""
    cm = sandbox()

    async def one(http, number, ready):
        async with http.ws_connect(cm.url) as ws:
            await ws.receive_json()
            await ws.send_json(
                {"action": "register", "auth_token": cm.auth_token, "appid": cm.app_id,
                 "client_id": f"client-{number}"}
            )  # fmt: skip
            await ws.receive_json()
            await ready()
            call_id = (await ws.receive_json(timeout=30))["callid"]
            await ws.send_json({"action": "accept", "callid": call_id, "request_id": "1", **JOIN})
            return "data" in await ws.receive_json(timeout=30)

    async def main():
        waiting, go = [], asyncio.Event()

        async def ready():
            waiting.append(None)
            if len(waiting) == CLIENTS:
                cm.incoming(to="+1800", from_="+1555")
                go.set()
            await go.wait()

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            won = await asyncio.gather(*(one(http, number, ready) for number in range(CLIENTS)))
        await asyncio.sleep(0.05)
        return won

    assert 1 == sum(asyncio.run(main()))
