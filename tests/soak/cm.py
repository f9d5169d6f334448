"""A sandbox in a process of its own, steered through its standard input and output.

So its memory, threads and descriptors are not those of the process that is looked at.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class RemoteSandbox:
    """The sandbox seen from outside. A method call is one line each way; any thread may.

    ``tls``: a file with certificate and key, for ``wss``. Options are those of `Sandbox`.
    """

    def __init__(self, tls: str | None = None, **options: Any) -> None:
        self._lock = threading.Lock()  # guards the pipes: one call at a time
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.cm", json.dumps({"tls": tls, "options": options})],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url, self.auth_token, self.app_id = self._call("where")

    def __enter__(self) -> RemoteSandbox:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(name, *args, **kwargs)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            print(json.dumps([name, args, kwargs]), file=self._process.stdin, flush=True)
            told = self._process.stdout.readline()
        if not told:
            raise RuntimeError("the sandbox's process has ended")
        answer = json.loads(told)
        if "error" in answer:
            raise RuntimeError(f"the sandbox could not {name}: {answer['error']}")
        return answer["result"]


class _Steps:
    """What can be asked of it beyond the sandbox's own controls."""

    def __init__(self, cm: Any) -> None:
        self._cm = cm
        self._requests: dict[str, int] = {}
        self._looked_at = 0
        self._twice: list[str] = []

    def where(self) -> list[str]:
        return [self._cm.url, self._cm.auth_token, self._cm.app_id]

    def incoming(self, to: str, from_: str, **options: Any) -> str:
        return str(self._cm.incoming(to, from_, **options).call_id)

    def peer(self, call_id: str, step: str, *args: Any) -> Any:
        return getattr(self._cm.peer(call_id), step)(*args)

    def up(self) -> list[list[str]]:
        """The calls that are some client's and have not ended: call id and uid of each."""
        return [
            [record.call_id, record.uid]
            for record in self._cm.calls
            if record.owner is not None and not record.ended
        ]

    def registrations(self) -> int:
        return sum(frame.get("action") == "register" for frame in self._cm.frames)

    def twice(self) -> list[str]:
        """Requests seen more than once; to be asked before 100,000 more frames have come.

        Ids are unique on a connection; what is sent once more on another is told by its fields.
        """
        frames = self._cm.frames
        for frame in frames[self._looked_at:]:
            if frame.get("action") == "register":
                continue
            key = json.dumps(frame, sort_keys=True)
            self._requests[key] = self._requests.get(key, 0) + 1
            if self._requests[key] == 2:
                self._twice.append(f"{frame.get('action')} {frame.get('request_id')}")
        self._looked_at = len(frames)
        return self._twice


def main(told: str) -> None:
    from telephony.sandbox import Sandbox

    asked = json.loads(told)
    context = None
    if asked["tls"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(asked["tls"])
    with Sandbox(ssl_context=context, **asked["options"]) as cm:
        steps = _Steps(cm)
        for line in sys.stdin:
            name, args, kwargs = json.loads(line)
            step = getattr(steps, name, None) or getattr(cm, name)
            try:
                answer = {"result": step(*args, **kwargs)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
