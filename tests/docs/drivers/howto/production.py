"""docs/howto/production.rst."""

from __future__ import annotations

import re
import signal
import urllib.request

from prometheus_client import CollectorRegistry, generate_latest

from telephony import recording
from telephony.contrib.prometheus import PrometheusHooks
from tests.docs.play import SECONDS, Output, Play, Served
from tests.docs.rst import Block
from tests.docs.web import Server, free_port

CALL = {"to": "+18005550001", "from_": "+15559876543"}


def _ended(program: Served) -> list[str]:
    program.interrupt(signal.SIGTERM)
    code, lines = program.finish()
    assert 0 == code, program.stderr
    return lines


def health(block: Block, play: Play, output: Output) -> None:
    """503 until it is connected and while it is not, 200 in between; unforked and forked."""
    cm = play.start()
    play.write(block)
    server = Server(play, "flask --app health run --port 0", "Running on ")
    status, seen = server.ask("GET", "/health")
    assert (503, False) == (status, seen["connected"])
    assert 204 == server.ask("POST", "/connect")[0]
    status, seen = server.ask("GET", "/health")
    assert (200, True) == (status, seen["connected"])
    assert 0 <= seen["last_seen_age"] < 10
    cm.stop()
    while 200 == server.ask("GET", "/health")[0]:  # each answer takes its time
        pass

    forked = "gunicorn --preload --workers 1 --bind 127.0.0.1:0 health:app"
    server = Server(play, forked, "Listening at: ")
    assert (503, {"connected": False}) == server.ask("GET", "/health")


def logs(block: Block, play: Play, output: Output) -> None:
    """A line for each change of state; the token is in none, at any level."""
    cm = play.start()
    play.write(block)
    program = play.python(block.caption)
    assert (0, []) == program.finish()
    assert re.search(r" INFO telephony \S+ connection connecting -> connected\n", program.stderr)
    assert re.search(r" INFO telephony \S+ call \S+: ringing -> answered", program.stderr)
    debug = play.python(block.caption, TELEPHONY_LOG="DEBUG")
    assert (0, []) == debug.finish()
    assert " DEBUG telephony " in debug.stderr and "+18005551234" in debug.stderr
    assert cm.auth_token not in debug.stderr


def metrics(block: Block, play: Play, output: Output) -> None:
    """They can be scraped."""
    cm, port = play.start(), free_port()
    (play.folder / block.caption).write_text(block.text.replace("9100", str(port)))
    program = play.python(block.caption)
    cm.wait_for_command("register")
    assert "CALL_REJECTED" == cm.incoming(**CALL).wait_ended(SECONDS)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as scraped:
        text = scraped.read().decode()
    assert "telephony_connected 1.0" in text
    assert 'telephony_events_total{event="call_incoming"} 1.0' in text
    assert [] == _ended(program)


def hooks(block: Block, play: Play, output: Output) -> None:
    """A dial that is refused is counted."""
    cm = play.start()
    cm.script_dial("busy")
    play.run(block).finish()
    assert "Busy\n1\n" == output()


def alerts(block: Block, play: Play, output: Output) -> None:
    """The metrics, labels and values spoken of are there."""
    registry = CollectorRegistry()
    exported = PrometheusHooks(registry)
    for end in ("ok", "refused", "not_sent", "unknown"):
        exported.command_ended("outbound", end, 0.1)
    for event in ("call_orphaned", "error"):
        exported.event_received(event)
    exported.callback_queued(1)
    exported.callback_started(0, 0.1)
    text = generate_latest(registry).decode()
    spoken_of = re.findall(r"(telephony_\w+)(?:{([^}]*)})?", block.text)
    assert len(spoken_of) >= 8
    for name, labels in spoken_of:
        found = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        wanted = labels.split(",") if labels else []
        assert [line for line in found if all(label in line for label in wanted)], (name, labels)
    assert block.text.count("- alert:") == block.text.count("expr:") == block.text.count("summary:")


def recorder(block: Block, play: Play, output: Output) -> None:
    """The file can be read back, and has neither number nor token in it."""
    cm = play.start()
    play.write(block)
    program = play.python(block.caption, RECORDINGS=str(play.folder))
    cm.wait_for_command("register")
    assert "CALL_REJECTED" == cm.incoming(**CALL).wait_ended(SECONDS)
    assert [] == _ended(program)
    (file,) = play.folder.glob("*.jsonl")
    assert recording.read(file)
    text = file.read_text()
    assert "call_incoming" in text and "reject" in text
    assert "18005550001" not in text and cm.auth_token not in text


def gap(block: Block, play: Play, output: Output) -> None:
    """After an outage the call is hung up."""
    cm = play.start()
    play.write(block)
    program = play.python(block.caption)
    assert "called +18005551234" == program.line()
    cm.drop_connections()
    assert re.fullmatch(r"not connected for \d s", program.line())
    assert f"hung up, to be sure: {cm.calls[0].call_id}" == program.line()
    assert "endcall" == cm.calls[0].ended_by
    assert [] == _ended(program)
