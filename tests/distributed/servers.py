"""Redis and RabbitMQ on loopback ports of their own, which end with the ``with`` block."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import redis

from tests.cli.programs import Program, environment
from tests.docs.web import free_port

#: for what takes a moment on an idle machine
SECONDS = 60.0


def found(command: str, *folders: str) -> str:
    """The path of a server's program; a clear error where there is none."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin"])
    where = shutil.which(command, path=path)
    assert where, f"there is no {command} on this machine: run .ci/install"
    return where


class Redis:
    """A redis-server. It keeps nothing on disk unless it is to be ``durable`` (append only file).

    ``connection`` is a client of the tests' own.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._durable = durable
        self._port = free_port()
        self._program: Program | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.connection = redis.Redis(
            port=self._port, decode_responses=True, protocol=2, socket_timeout=SECONDS + 5
        )

    def __enter__(self) -> Redis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.stop()

    def start(self) -> None:
        """Start it, again with what it kept on disk; it answers when this returns."""
        keep = ["--appendonly", "yes", "--appendfsync", "always"] if self._durable else []
        command = [found("redis-server"), "--bind", "127.0.0.1", "--port", str(self._port)]
        command += ["--dir", str(self._folder), "--save", "", *keep]
        self._program = Program(command, environment(), cwd=self._folder)
        self._program.line(lambda line: "Ready to accept connections" in line)

    def stop(self) -> None:
        """End it as a service's stop does; what is not on disk is gone."""
        program, self._program = self._program, None
        if program is not None:
            with program:
                program.interrupt(signal.SIGTERM)
                assert program.ended(SECONDS)

    def send(self, number: int) -> None:
        """Send it a signal: while it is stopped, nobody is answered."""
        assert self._program is not None
        self._program.interrupt(number)

    def take(self, key: str, timeout: float = SECONDS) -> str:
        """Wait for the next item of a list, and take it off."""
        item: Any = self.connection.blpop([key], timeout)
        assert item is not None, f"nothing came into {key} within {timeout} s"
        return str(item[1])

    def take_until(self, key: str, wanted: Any) -> list[str]:
        """Take items off a list up to the first that is *wanted*, which is the last returned."""
        taken: list[str] = []
        end = time.monotonic() + SECONDS
        while True:
            assert time.monotonic() < end, f"it did not come into {key}: {taken[-5:]}"
            taken.append(self.take(key))
            if wanted(taken[-1]):
                return taken


class RabbitMQ:
    """A RabbitMQ node with a name, a port mapper and a folder of its own. Takes 10 s to start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._mapper, distribution = free_port(), free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        configuration = folder / "rabbitmq.conf"
        configuration.write_text(f"listeners.tcp.1 = 127.0.0.1:{self._port}\n", "utf-8")
        self._environment = environment(
            HOME=str(folder),  # the cookie is made here
            RABBITMQ_NODENAME=f"telephony-{os.getpid()}@localhost",
            RABBITMQ_CONFIG_FILE=str(configuration),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "enabled_plugins"),
            RABBITMQ_MNESIA_BASE=str(folder / "mnesia"),
            RABBITMQ_PID_FILE=str(folder / "pid"),
            RABBITMQ_LOG_BASE=str(folder),
            RABBITMQ_LOGS="-",
            RABBITMQ_DIST_PORT=str(distribution),
            # It would else take a core of a small machine for itself, to spin on.
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
            ERL_EPMD_PORT=str(self._mapper),
            ERL_EPMD_ADDRESS="127.0.0.1",
        )
        self._node: Program | None = None
        self._names: Program | None = None

    def __enter__(self) -> RabbitMQ:
        # Started here, the mapper is ours to end; the node would leave it behind as a daemon.
        self._names = Program([found("epmd")], self._environment, cwd=self._folder)
        # Debian's own command goes to another user, and drops the environment on its way.
        server = found("rabbitmq-server", "/usr/lib/rabbitmq/bin")
        self._node = Program([server], self._environment, cwd=self._folder)
        try:
            self._node.line(lambda line: "Server startup complete" in line)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._node is not None:
            with self._node as node:
                # The script that it is hands the signal on to the node, and waits for it.
                node.interrupt(signal.SIGTERM)
                assert node.ended(SECONDS)
        if self._names is not None:
            with self._names as names, contextlib.suppress(subprocess.SubprocessError):
                names.interrupt(signal.SIGTERM)
