"""Celery's prefork pool: tasks that dial, with a client made before the children were forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import ROOT, SECONDS, account
from tests.processes.conftest import Process, clean, commands

TASKS = 8
#: puts the tasks into the queue
SEND = f"""
from tests.processes.programs.tasks import dial
for uid in range({TASKS}):
    dial.delay(uid)
"""


@pytest.mark.parametrize("connects", ["parent", "worker"])
def test_tasks_that_dial(cm: Sandbox, tmp_path: Path, connects: str) -> None:
    """Each call is placed once, each child has a connection, and the worker ends when told."""
    env = {**account(cm), "CONNECT": connects, "BROKER_FOLDER": str(tmp_path)}
    subprocess.run([sys.executable, "-c", SEND], cwd=ROOT, env=env, check=True, timeout=SECONDS)
    module = "tests.processes.programs.tasks"
    options = ["--pool", "prefork", "--concurrency", "2", "--loglevel", "warning"]
    options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    command = [sys.executable, "-m", "celery", "--app", module, "worker", *options]
    with Process(command, env) as program:
        said = [program.line(lambda line: line.startswith("done")) for _ in range(TASKS)]
        program.interrupt(signal.SIGTERM)
        code, _ = program.finish()
        stderr = program.stderr

    assert 0 == code, stderr
    assert clean(stderr) and "Traceback" not in stderr, stderr
    done = [line.split()[1:] for line in said]
    children = {pid for pid, _, _ in done}
    assert str(os.getpid()) not in children
    # Each call was placed once, by a child, and none is left.
    assert sorted((call_id, state) for _, call_id, state in done) == sorted(
        (call.call_id, call.state) for call in cm.calls
    )
    placed = [(call.uid, call.heard, call.ended_by) for call in cm.calls]
    assert [(str(uid), "12#", "endcall") for uid in range(TASKS)] == sorted(placed)
    # Each child had one connection, and the parent its own all the time.
    names = Counter(frame["client_id"] for frame in commands(cm, "register"))
    own = {"cli-test": 1} if "parent" == connects else {}
    assert {**own, **{f"cli-test-{pid}": 1 for pid in children}} == names
