"""docs/howto/django.rst: the project of the page, made as the page says, served by runserver."""

from __future__ import annotations

import signal
import sqlite3
import threading
from contextlib import closing
from typing import Any

from telephony.sandbox import Sandbox
from tests.docs.drivers import PartOf
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block, blocks
from tests.docs.web import SETTINGS, Server
from tests.scripted import Running

TO = {"to": "+18005551234"}


def run(block: Block, play: Play, output: Output) -> None:
    """A project is made of the files of the page; each way a request can end is stored."""
    cm = play.start()
    *migrations, runserver = block.text.splitlines()
    _project(play, block, migrations)
    assert [] == cm.frames
    server = _served(play, runserver)
    assert 400 == server.ask("POST", "/calls/", {"to": "+19005551234"})[0]
    assert [] == cm.frames  # it connects on first use

    place = play.other(block, "place")
    assert "http://127.0.0.1:8000/" in place.text  # where runserver listens, unless told
    status, placed = server.curl(place.text)
    assert 201 == status
    assert SETTINGS["RTC_TOKEN"] == cm.wait_for_command("outbound")["token"]
    assert ("up", placed["call_id"], "") == _row(play, placed["id"])
    cm.peer(placed["call_id"]).hang_up()
    _until(play, placed["id"], ("ended", placed["call_id"], "NORMAL_CLEARING"))

    cm.script_dial("busy")
    assert (409, {"error": "Busy", "try_again": False}) == server.ask("POST", "/calls/", TO)
    assert "refused" == _row(play, 2)[0]
    _lost(play, cm, server)
    _answers(play, cm, play.other(block, "answer-calls"))


def _project(play: Play, block: Block, migrations: list[str]) -> None:
    code, _, stderr = play.shell(play.other(block, "startproject").text)
    assert 0 == code, stderr
    settings = play.folder / "mysite" / "settings.py"
    text = settings.read_text().replace("INSTALLED_APPS = [", 'INSTALLED_APPS = [\n    "calls",')
    settings.write_text(text)
    play.write(*(each for each in blocks(block.page) if each.caption))
    code, _, stderr = play.shell("\n".join(migrations), **SETTINGS)
    assert 0 == code, stderr


def _served(play: Play, runserver: str) -> Server:
    return Server(play, f"{runserver} --noreload 127.0.0.1:0", "development server at ")


def _lost(play: Play, cm: Sandbox, server: Server) -> None:
    """The outcome is unknown, and once the call turns up it is known, and hung up."""
    cm.delay(60, "outbound")
    asking = Running(server.ask, "POST", "/calls/", {"to": "+18005550009"})
    cm.wait_for_command("outbound", to="+18005550009")
    cm.drop_connections()
    status, told = asking.result(SECONDS)
    assert (504, False) == (status, told["try_again"])
    callee = cm.peer(cm.calls[-1].call_id)
    assert callee.wait_accepted(SECONDS)
    cm.wait_for_command("register")
    cm.wait_for_command("register")  # it is connected again, and hears of the call
    callee.press("1")
    callee.wait_ended(SECONDS)
    _until(play, 3, ("ended", callee.call_id, "NORMAL_CLEARING"))


def _answers(play: Play, cm: Sandbox, block: Block) -> None:
    program = play.program("bash", "-c", f"exec {block.text} 2>&1", **SETTINGS)
    cm.wait_for_command("register")
    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    assert caller.wait_accepted(SECONDS)
    caller.hang_up()
    _until(play, 4, ("ended", caller.call_id, "NORMAL_CLEARING"))
    program.interrupt(signal.SIGTERM)
    assert (0, []) == program.finish()


def _row(play: Play, number: int) -> tuple[Any, ...] | None:
    with closing(sqlite3.connect(play.folder / "db.sqlite3")) as database:
        found = database.execute(
            "select state, call_id, cause from calls_phonecall where id = ?", [number]
        )
        row: tuple[Any, ...] | None = found.fetchone()
        return row


def _until(play: Play, number: int, wanted: tuple[Any, ...]) -> None:
    """Wait until another process has stored this."""
    tries = iter(range(200))
    while wanted != _row(play, number):
        assert next(tries, None) is not None, _row(play, number)
        threading.Event().wait(0.05)


startproject = urls = phone = models = views = command = place = answer_calls = PartOf("run")
