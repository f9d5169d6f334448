"""docs/howto/webhooks.rst."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import urllib.error
import urllib.request
from http.client import HTTPConnection
from typing import Any

from tests.docs.drivers import PartOf
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.docs.web import Server, free_port

app = PartOf("run")


def _curl(text: str, base: str) -> tuple[int, Any]:
    """The request of a ``curl`` command, sent to *base* instead."""
    curl, url, flag, header, json_, body = shlex.split(text.replace("\\\n", " "))
    assert ("curl", "-H", "--json") == (curl, flag, json_)
    name, _, value = header.partition(": ")
    headers = {"Content-Type": "application/json", name: value}
    path = "/" + url.split("/", 3)[3]
    return _post(base + path, json.loads(body), headers)


def _post(url: str, body: object, headers: dict[str, str]) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def _served(block: Block, play: Play) -> Server:
    """The page's app, run by its command; no account is needed."""
    play.write(play.other(block, "app"))
    command = play.other(block, "run").text
    assert "--port 5000" in command and "127.0.0.1:5000" in play.other(block, "try-event").text
    return Server(play, "env " + command.replace("--port 5000", "--port 0"), "Running on ")


def run(block: Block, play: Play, output: Output) -> None:
    """Strangers are refused, digits are never dropped, unknown numbers are rejected."""
    server = _served(block, play)
    events, key = server.url + "/telephony/events", {"Authorization": "Bearer try-me"}
    pressed = {"event": "dtmf_received", "callid": "c-9", "timestamp": 1, "digits": "5"}
    assert 401 == _post(events, pressed, {})[0]
    for _ in range(2):
        assert 200 == _post(events, pressed, key)[0]
        server.program.line(lambda line: "key: c-9 5" == line)
    lookup = {"did": "18005550000", "callid": "c-2"}
    assert 404 == _post(server.url + "/telephony/lookup", lookup, key)[0]


def try_event(block: Block, play: Play, output: Output) -> None:
    """It is handled, and the second time said to have been."""
    server = _served(block, play)
    assert (200, {"success": True}) == _curl(block.text, server.url)
    server.program.line(lambda line: "ended: c-1 NORMAL_CLEARING 7" == line)
    assert (200, {"success": True, "duplicate": True}) == _curl(block.text, server.url)


def try_lookup(block: Block, play: Play, output: Output) -> None:
    """The channel, with the token of the command."""
    server = _served(block, play)
    expected = {"token": "…", "uid": "200", "channel": "support"}
    assert (200, expected) == _curl(block.text, server.url)


def plain(block: Block, play: Play, output: Output) -> None:
    """A server of the standard library does; the page's requests fit its paths."""
    play.write(block)
    port = free_port()
    path = play.folder / block.caption
    path.write_text(path.read_text().replace("8000", str(port)) + "\n")
    text = path.read_text().replace(".serve_forever()", "")
    started = text.replace("make_server(", "server = make_server(")
    path.write_text(started + '    print("listening", flush=True)\n    server.serve_forever()\n')
    program = play.python(block.caption)
    program.line(lambda line: "listening" == line)
    url = f"http://127.0.0.1:{port}"
    event = re.sub("/telephony", "", play.other(block, "try-event").text)
    assert 200 == _curl(event, url)[0]
    program.line(lambda line: line.startswith("call_hangup CallInfo("))
    assert 401 == _post(url + "/events", {}, {"Authorization": "Bearer other"})[0]
    chunked = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(chunked):
        key = {"Authorization": "Bearer try-me"}
        chunked.request("POST", "/events", iter([b"{}"]), key, encode_chunked=True)
        assert 411 == chunked.getresponse().status
    lookup = re.sub("/telephony", "", play.other(block, "try-lookup").text)
    expected = {"token": "…", "uid": "200", "channel": "did-18005551234"}
    assert (200, expected) == _curl(lookup, url)


def parse(block: Block, play: Play, output: Output) -> None:
    """It prints what the page says."""
    play.run(block).finish()
    assert play.other(block, "parse-output").text + "\n" == output()


def parse_output(block: Block, play: Play, output: Output) -> None:
    """The block above is compared with it."""
    assert 1 == play.other(block, "parse").text.count("print(")
