"""docs/howto/callboard.rst."""

from __future__ import annotations

import json
import signal
import urllib.request

from tests.docs import shell
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import ROOT, Block
from tests.docs.web import Server
from tests.scripted import Running

DIAL = {"to": "+18005551234"}


class Board(Server):
    """A board that is run from the checkout."""

    def __init__(self, play: Play, command: str, listening: str, **variables: str) -> None:
        super().__init__(play, f"env -C {ROOT} {command}", listening, **variables)

    def press(self, path: str, **fields: str) -> int:
        """What a button of the page sends."""
        headers = {"Content-Type": "application/json", "Origin": self.url}
        body = json.dumps(fields).encode()
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            status: int = answer.status
        return status

    def places_a_call(self, **fields: str) -> None:
        """With a page open all the time; the program ends in good order nonetheless."""
        with urllib.request.urlopen(self.url + "/events", timeout=SECONDS) as stream:
            lines = iter(stream.readline, b"")
            run = json.loads(next(line for line in lines if line.startswith(b"data:"))[5:])["run"]
            assert 202 == self.press("/calls", **DIAL, **fields, key=f"{run}-1")
            assert any(b'"state": "bridged"' in line for line in lines)
            self.program.interrupt(signal.SIGTERM)
            # What it ends with is read meanwhile, as a browser does.
            reading = Running(stream.read)
            assert 0 == self.program.finish()[0]
            reading.result(SECONDS)


def start(block: Block, play: Play, output: Output) -> None:
    """The extra exists; the rest of the line starts a board on a sandbox."""
    install, _, command = block.text.partition(" && ")
    shell.exists(install)
    for name in ("CM_HOST", "AUTH_TOKEN", "APPID"):
        play.monkeypatch.delenv(name, raising=False)
    server = Board(play, command.replace("--port 5050", "--port 0"), " is at ")
    assert 201 == server.press("/ring")
    server.places_a_call(outcome="answer")


def with_account(block: Block, play: Play, output: Output) -> None:
    """The variables are those that it reads."""
    cm = play.start()
    *exports, command = block.text.splitlines()
    names = [word.partition("=")[0] for line in exports for word in line.split()[1:] if "=" in word]
    assert ["CM_HOST", "AUTH_TOKEN", "APPID", "FROM_NUMBER", "REGION", "DID"] == names
    number = exports[1].partition("FROM_NUMBER=")[2].split()[0]
    server = Board(play, f"{command} --port 0", " is at ", FROM_NUMBER=number, DID="+18005550100")
    server.places_a_call()
    assert number == cm.wait_for_command("outbound")["from"]
    assert ["endcall"] == [call.ended_by for call in cm.calls]


def gunicorn(block: Block, play: Play, output: Output) -> None:
    """It connects at once; told to end it hangs up though a page is open."""
    cm = play.start()
    server = Board(play, f"{block.text} --bind 127.0.0.1:0", "Listening at: ")
    cm.wait_for_command("register")
    server.places_a_call()
    assert ["endcall"] == [call.ended_by for call in cm.calls]
