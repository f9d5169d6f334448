"""docs/howto/gunicorn-gevent.rst."""

from __future__ import annotations

import signal

from tests.docs import shell
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import DOCS, Block, blocks
from tests.docs.web import SETTINGS, Server
from tests.scripted import Running

REQUESTS = 6
#: A worker that is told to end while it is still being started does not hear it.
SAYS_WHEN_IT_SERVES = """

def post_worker_init(worker):
    print("serving", flush=True)
"""


def _app(play: Play) -> None:
    """Write the application of the page that this one is about."""
    play.write(next(each for each in blocks(DOCS / "howto" / "flask.rst") if "app" == each.name))


def _serves(play: Play, config: Block, kind: str) -> None:
    """The configuration does what the page says: a connection a worker, and no call is left up."""
    cm = play.start()
    _app(play)
    play.write(config)
    with open(play.folder / config.caption, "a") as file:
        file.write(SAYS_WHEN_IT_SERVES)
    server = Server(play, "gunicorn --bind 127.0.0.1:0 app:app", "Listening at: ")
    server.program.line(lambda line: f"Using worker: {kind}" in line)
    for _ in range(2):
        server.program.line(lambda line: "serving" == line)
    asking = [
        Running(server.ask, "POST", "/calls", {"to": f"+1800555000{n}"}) for n in range(REQUESTS)
    ]
    done = [each.result(30) for each in asking]
    assert {201} == {status for status, _ in done}
    server.program.interrupt(signal.SIGTERM)
    code, lines = server.program.finish()
    assert 0 == code
    assert "Traceback" not in "\n".join(lines), "\n".join(lines)
    assert REQUESTS == len(cm.calls)  # each was placed once
    assert {"endcall"} == {call.ended_by for call in cm.calls}
    names = [frame["client_id"] for frame in cm.frames if "register" == frame["action"]]
    assert 1 <= len(names) == len(set(names)) <= 2


def threads(block: Block, play: Play, output: Output) -> None:
    """Two workers with threads."""
    _serves(play, block, "gthread")


def gevent(block: Block, play: Play, output: Output) -> None:
    """Two workers with greenlets."""
    _serves(play, block, "gevent")


def eager(block: Block, play: Play, output: Output) -> None:
    """Both workers connect before there is a request."""
    cm = play.start()
    _app(play)
    play.write(play.other(block, "threads"))
    with open(play.folder / block.caption, "a") as file:
        file.write("\n\n" + block.text)
    server = Server(play, "gunicorn --bind 127.0.0.1:0 app:app", "Listening at: ")
    for _ in range(2):
        cm.wait_for_command("register", SECONDS)
    server.program.interrupt(signal.SIGTERM)
    code, lines = server.program.finish()
    assert 0 == code
    assert "Traceback" not in "\n".join(lines), "\n".join(lines)


def serve(block: Block, play: Play, output: Output) -> None:
    """The command finds the configuration by its name, and the application."""
    shell.exists(block.text)
    play.start()
    _app(play)
    play.write(play.other(block, "threads"))
    code, _, stderr = play.shell(f"{block.text} --check-config --print-config", **SETTINGS)
    assert 0 == code, stderr


def patched(block: Block, play: Play, output: Output) -> None:
    """Three calls side by side, one of them to somebody who is on the phone."""
    cm = play.start()
    cm.script_dial("busy", to="+18005550002")
    play.write(block)
    program = play.python(block.caption, **SETTINGS)
    code, lines = program.finish()
    assert 0 == code, program.stderr
    ends = ["NORMAL_CLEARING", "Busy", "NORMAL_CLEARING"]
    assert [f"+1800555000{n} {end}" for n, end in enumerate(ends, 1)] == lines
