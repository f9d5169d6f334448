"""docs/howto/django.rst: the project of the page, made as the page says, served by runserver."""

from __future__ import annotations

import json
import shlex
import signal
import sqlite3
import threading
from contextlib import closing
from typing import Any

from telephony.sandbox import Sandbox
from tests.docs.drivers import PartOf
from tests.docs.play import SECONDS, Output, Play, passes_as_a_test_suite
from tests.docs.rst import Block, blocks
from tests.docs.web import SETTINGS, Server
from tests.scripted import Running

TO = {"to": "+18005551234"}
VARIABLES = {**SETTINGS, "WEBHOOK_SECRET": "Bearer of-the-page"}


def run(block: Block, play: Play, output: Output) -> None:
    """A project is made of the files of the page; each way a request can end is stored."""
    cm = play.start()
    *migrations, runserver = block.text.splitlines()
    _project(play, block, migrations)
    assert [] == cm.frames
    server = Server(
        play, f"{runserver} --noreload 127.0.0.1:0", "development server at ", **VARIABLES
    )
    assert 400 == server.ask("POST", "/calls/", {"to": "+19005551234"})[0]
    assert [] == cm.frames  # it connects on first use

    place = play.other(block, "place")
    assert "http://127.0.0.1:8000/" in place.text  # where runserver listens, unless told
    status, placed = server.curl(place.text)
    assert 201 == status
    assert SETTINGS["RTC_TOKEN"] == cm.wait_for_command("outbound")["token"]
    assert ("placed", placed["call_id"]) == _order(play, placed["id"])
    cm.peer(placed["call_id"]).hang_up()
    said = server.program.line(lambda line: "hangup NORMAL_CLEARING" in line)
    assert said.startswith("outbound +15551234567 to +18005551234: ")
    assert ("hangup", 0) == _record(play, placed["call_id"])

    cm.script_dial("busy")
    assert (409, {"error": "Busy", "try_again": False}) == server.ask("POST", "/calls/", TO)
    assert "refused" == _order(play, 2)[0]
    _lost(play, cm, server)
    _posts(play, server, play.other(block, "post"))
    _answers(play, cm, play.other(block, "listen"))


def _project(play: Play, block: Block, migrations: list[str]) -> None:
    assert "agora-telephony[django]" in play.other(block, "install").text
    code, _, stderr = play.shell(play.other(block, "startproject").text)
    assert 0 == code, stderr
    files = [each for each in blocks(block.page) if each.caption and "settings" != each.name]
    play.write(*files)
    _append(play, play.other(block, "settings").text)
    check = "python manage.py check --fail-level WARNING"
    code, _, stderr = play.shell("\n".join([*migrations, check]), **VARIABLES)
    assert 0 == code, stderr


def _append(play: Play, text: str) -> None:
    path = play.folder / "mysite" / "settings.py"
    path.write_text(f"{path.read_text()}\n{text}\n")


def _lost(play: Play, cm: Sandbox, server: Server) -> None:
    """The outcome is unknown, and once the call turns up it is recorded, and hung up."""
    cm.delay(60, "outbound")
    asking = Running(server.ask, "POST", "/calls/", {"to": "+18005550009"})
    cm.wait_for_command("outbound", to="+18005550009")
    cm.drop_connections()
    status, told = asking.result(SECONDS)
    assert (504, False) == (status, told["try_again"])
    assert "unknown" == _order(play, 3)[0]
    callee = cm.peer(cm.calls[-1].call_id)
    assert callee.wait_accepted(SECONDS)
    cm.wait_for_command("register")
    cm.wait_for_command("register")  # it is connected again, and hears of the call
    callee.press("1")
    callee.wait_ended(SECONDS)
    _until_ended(play, callee.call_id)
    cm.clear_faults()


def _posts(play: Play, server: Server, block: Block) -> None:
    """The page's own curl is answered, and an event that is posted is recorded."""
    request = block.text.replace("http://127.0.0.1:8000", server.url).replace("curl", "curl -sS", 1)
    code, lines, stderr = play.shell(request, **VARIABLES)
    assert 0 == code, stderr
    assert "support" == json.loads("".join(lines))["channel"]
    event = {"event": "call_hangup", "callid": "posted-1", "timestamp": 1_700_000_000}
    words = f"curl -sS {server.url}/telephony/events/ -H 'Authorization: Bearer of-the-page'"
    code, _, stderr = play.shell(f"{words} --json {shlex.quote(json.dumps(event))}")
    assert 0 == code, stderr
    assert ("hangup", 0) == _record(play, "posted-1")


def _answers(play: Play, cm: Sandbox, block: Block) -> None:
    program = play.program("bash", "-c", f"exec {block.text} 2>&1", **VARIABLES)
    cm.wait_for_command("register")
    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    assert caller.wait_accepted(SECONDS)
    caller.hang_up()
    program.line(lambda line: "hangup NORMAL_CLEARING" in line)
    assert ("hangup", 0) == _record(play, caller.call_id)
    program.interrupt(signal.SIGTERM)
    assert (0, []) == program.finish()


def run_tests(block: Block, play: Play, output: Output) -> None:
    """The tests of the page pass, in a project of its files."""
    *migrations, _ = play.other(block, "run").text.splitlines()
    play.start()
    _project(play, block, migrations)
    _append(play, 'DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}')
    for name, value in VARIABLES.items():
        play.monkeypatch.setenv(name, value)
    pytest, *arguments = block.text.split()
    assert "pytest" == pytest
    passes_as_a_test_suite(play.folder, 2, *arguments)


def _order(play: Play, number: int) -> tuple[Any, ...]:
    return _row(play, "select state, call_id from calls_order where id = ?", number)


def _record(play: Play, call_id: str) -> tuple[Any, ...]:
    query = "select state, stale from telephony_callrecord where call_id = ?"
    return _row(play, query, call_id)


def _row(play: Play, query: str, key: object) -> tuple[Any, ...]:
    with closing(sqlite3.connect(play.folder / "db.sqlite3", timeout=SECONDS)) as database:
        row: tuple[Any, ...] | None = database.execute(query, [key]).fetchone()
    return row or ()


def _until_ended(play: Play, call_id: str) -> None:
    """Wait until another process has stored this."""
    tries = iter(range(600))
    while ("hangup", 0) != _record(play, call_id):
        assert next(tries, None) is not None, _record(play, call_id)
        threading.Event().wait(0.05)


install = startproject = settings = urls = views = models = phone = apps = PartOf("run")
listen = place = post = PartOf("run")
tests = PartOf("run-tests")
