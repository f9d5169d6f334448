"""Says on standard output what becomes of the server and its workers, for those who wait for it."""

from __future__ import annotations

import os
from typing import Any

os.setpgid(0, 0)  # for the tests to end it with all its workers, if they must

bind = "127.0.0.1:0"
preload_app = True
control_socket_disable = True
graceful_timeout = 20
errorlog = os.environ["ERROR_LOG"]


def say(*words: object) -> None:
    line = " ".join(map(str, words)) + "\n"
    os.write(1, line.encode())  # at once: other processes say theirs on the same pipe


def when_ready(server: Any) -> None:
    say("port", server.LISTENERS[0].sock.getsockname()[1])


def post_worker_init(worker: Any) -> None:
    say("worker", worker.pid)


def child_exit(server: Any, worker: Any) -> None:
    say("gone", worker.pid)
