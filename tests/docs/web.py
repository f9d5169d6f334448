"""Web servers that the pages start, and requests to them."""

from __future__ import annotations

import json
import shlex
import socket
import urllib.error
import urllib.request
from typing import Any

from tests.cli.programs import SECONDS
from tests.docs.play import Play, Served

#: what the environment of a page's program holds beside the account
SETTINGS = {
    "FROM_NUMBER": "+15551234567",
    "REGION": "AREA_CODE_NA",
    "RTC_TOKEN": "rtc-token-of-the-page",
}


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


class Server:
    """A web server run by a shell's line; it listens at ``url`` once this is made.

    ``listening`` is what it says then; the rest of that line begins with its URL.
    """

    def __init__(self, play: Play, command: str, listening: str, **variables: str) -> None:
        variables = {**SETTINGS, "HOME": str(play.folder), "PYTHONUNBUFFERED": "1", **variables}
        self.program: Served = play.program("bash", "-c", f"exec {command} 2>&1", **variables)
        line = self.program.line(lambda line: listening in line)
        self.url = line.partition(listening)[2].split()[0].rstrip("/")

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request; the status of its answer, and what JSON it holds (else None)."""
        return ask(method, self.url + path, body)

    def curl(self, text: str) -> tuple[int, Any]:
        """The request of a ``curl`` command, sent here."""
        curl, *words = shlex.split(text)
        assert ("curl", "-X", "--json") == (curl, words[0], words[3])
        path = "/" + words[2].split("/", 3)[3]
        return self.ask(words[1], path, json.loads(words[4]))


def ask(method: str, url: str, body: object = None) -> tuple[int, Any]:
    """One request; the status of its answer, and what JSON it holds (else None)."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, None
