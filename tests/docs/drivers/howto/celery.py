"""docs/howto/celery.rst."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator

from telephony.sandbox import Sandbox
from tests.distributed.servers import SECONDS, Redis
from tests.docs.drivers import PartOf
from tests.docs.play import Output, Play, Served
from tests.docs.rst import Block
from tests.docs.web import SETTINGS, Server


@contextlib.contextmanager
def _shop(block: Block, play: Play) -> Iterator[Sandbox]:
    """A Redis, a sandbox, and the app; what a user sets is set."""
    folder = Path(play.folder, "redis")
    folder.mkdir()
    with Redis(folder) as redis:
        play.monkeypatch.setenv("REDIS_URL", redis.url)
        play.write(play.other(block, "app"))
        yield play.start()
        play.close()  # before the server goes


def _worker(play: Play, block: Block, name: str) -> Served:
    """Run a worker by its command on the page, until it takes tasks."""
    command = play.other(block, name).text
    assert "\n" not in command
    variables = {**SETTINGS, "PYTHONUNBUFFERED": "1"}
    worker = play.program("bash", "-c", f"exec {command} -l info 2>&1", **variables)
    worker.line(lambda line: " ready." in line)
    return worker


app = PartOf("web")
calls = PartOf("web")
events = PartOf("web")


def web(block: Block, play: Play, output: Output) -> None:
    """A call is placed, seen, sent digits and hung up from the view, each way a dial can end."""
    with _shop(block, play) as cm:
        _worker(play, block, "calls")
        told = _worker(play, block, "events")
        play.write(block)
        server = Server(play, "flask --app web run --port 0", "Running on ")
        assert 400 == server.ask("POST", "/calls", {"to": "+19005551234"})[0]
        status, placed = server.ask("POST", "/calls", {"to": "+18005551234"})
        assert 201 == status, placed
        assert SETTINGS["RTC_TOKEN"] == cm.wait_for_command("outbound", SECONDS)["token"]
        call_id = placed["call_id"]
        assert (200, {"active": [call_id]}) == server.ask("GET", "/calls")
        status, shown = server.ask("GET", f"/calls/{call_id}")
        assert (200, None) == (status, shown["cause"])
        assert shown["state"] in ("answered", "bridged")
        assert 404 == server.ask("GET", "/calls/unknown")[0]
        assert 204 == server.ask("POST", f"/calls/{call_id}/digits", {"digits": "12#"})[0]
        assert "12#" == cm.peer(call_id).wait_heard("12#", SECONDS)
        assert 204 == server.ask("DELETE", f"/calls/{call_id}")[0]
        cm.assert_hung_up(call_id)
        for event in ("call_answered", "dtmf_received", "call_hangup"):
            told.line(lambda line: f"{event} {call_id}" in line)
        told.line(lambda line: "ended: NORMAL_CLEARING" in line)
        assert 409 == server.ask("DELETE", f"/calls/{call_id}")[0]

        cm.script_dial("busy")
        assert (409, {"error": "Busy"}) == server.ask("POST", "/calls", {"to": "+18005551234"})


def wait(block: Block, play: Play, output: Output) -> None:
    """It is told of the end of a call that another process has asked for."""
    with _shop(block, play) as cm:
        _worker(play, block, "calls")
        play.write(block, play.other(block, "web"))
        server = Server(play, "flask --app web run --port 0", "Running on ")
        status, placed = server.ask("POST", "/calls", {"to": "+18005551234"})
        assert 201 == status, placed
        waiting = play.python("wait.py", placed["call_id"])
        cm.peer(placed["call_id"]).hang_up("USER_BUSY")
        code, [line] = waiting.finish()
        assert (0, "USER_BUSY") == (code, line.split()[0])
