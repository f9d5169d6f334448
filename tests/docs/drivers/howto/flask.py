"""docs/howto/flask.rst."""

from __future__ import annotations

import os
import signal

from tests.docs import shell
from tests.docs.drivers import PartOf
from tests.docs.play import SECONDS, Output, Play, passes_as_a_test_suite
from tests.docs.rst import Block
from tests.docs.web import SETTINGS, Server, free_port
from tests.scripted import Running

TO = {"to": "+18005551234"}


def install(block: Block, play: Play, output: Output) -> None:
    """The extra is there."""
    shell.exists(block.text)


factory = PartOf("tests")


def tests(block: Block, play: Play, output: Output) -> None:
    """An app made by a function, for each test."""
    play.write(play.other(block, "factory"), block)
    passes_as_a_test_suite(play.folder, 1)


def app(block: Block, play: Play, output: Output) -> None:
    """Each way a request can end; and what callbacks need an app context for is logged."""
    cm = play.start()
    play.write(block)
    server = Server(play, "flask --app app run --port 0", "Running on ")
    assert [] == cm.frames  # it connects on first use
    assert 400 == server.ask("POST", "/calls", {"to": "+19005551234"})[0]
    assert [] == cm.frames

    status, placed = server.ask("POST", "/calls", TO)
    assert 201 == status
    dial = cm.wait_for_command("outbound")
    assert ("20", SETTINGS["RTC_TOKEN"]) == (dial["timeout"], dial["token"])
    cm.peer(placed["call_id"]).hang_up()
    server.program.line(lambda line: f"call {placed['call_id']} ended: NORMAL_CLEARING" in line)

    cm.script_dial("busy")
    assert (409, {"error": "Busy", "try_again": False}) == server.ask("POST", "/calls", TO)
    cm.refuse("gone", action="outbound")
    assert 409 == server.ask("POST", "/calls", TO)[0]

    cm.delay(60)
    asking = Running(server.ask, "POST", "/calls", {"to": "+18005550009"})
    cm.wait_for_command("outbound", to="+18005550009")
    cm.drop_connections()  # before there is an answer: it may have rung
    status, told = asking.result(SECONDS)
    assert (504, False) == (status, told["try_again"])

    cm.stop()
    status, told = server.ask("POST", "/calls", TO)
    assert (503, True) == (status, told["try_again"])


def run(block: Block, play: Play, output: Output) -> None:
    """Under the reloader only the process that serves connects, anew after each change."""
    cm = play.start()
    source = play.other(block, "app")
    play.write(source)
    command = block.text.replace("--port 5000", f"--port {free_port()}")
    server = Server(play, command, "Running on ")
    assert 201 == server.ask("POST", "/calls", TO)[0]
    server.program.line(lambda line: "Debugger is active" in line)
    # The time of the change has to differ, not the content.
    os.utime(play.folder / source.caption, (2**31, 2**31))
    server.program.line(lambda line: "Debugger is active" in line)
    assert 201 == server.ask("POST", "/calls", TO)[0]
    assert 201 == server.ask("POST", "/calls", TO)[0]
    actions = [frame["action"] for frame in cm.frames]
    assert ["register", "outbound", "register", "outbound", "outbound"] == actions


def place(block: Block, play: Play, output: Output) -> None:
    """The request goes to the port of the command above it, and places a call."""
    cm = play.start()
    assert "http://127.0.0.1:5000/" in block.text
    assert "--port 5000" in play.other(block, "run").text
    play.write(play.other(block, "app"))
    server = Server(play, "flask --app app run --port 0", "Running on ")
    status, placed = server.curl(block.text)
    assert (201, cm.calls[0].call_id) == (status, placed["call_id"])


def answer_calls(block: Block, play: Play, output: Output) -> None:
    """It answers, in an app context, and ends when told."""
    cm = play.start()
    play.write(play.other(block, "app"))
    program = play.program("bash", "-c", f"exec {block.text} 2>&1", **SETTINGS)
    cm.wait_for_command("register")
    caller = cm.incoming(to="+18005550001", from_="+15559876543")
    assert caller.wait_accepted(SECONDS)
    assert SETTINGS["RTC_TOKEN"] == cm.wait_for_command("accept")["token"]
    program.line(lambda line: "answered +15559876543" in line)
    program.interrupt(signal.SIGTERM)
    assert 0 == program.finish()[0]
