"""Ctrl-C is noticed, whenever it comes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading

import pytest

from telephony.cli.columns import Columns
from telephony.cli.interruption import on_interruption
from tests.cli.programs import SECONDS

# Signals that come just before a wait set a flag and wake nobody. Blocking the signal until
# the waiting has begun, on a thread that is not the one that waits, makes that certain: the
# flag is set by another thread, and the main thread's wait is never interrupted by it.
UNNOTICED = """
import queue, signal, sys, threading
from telephony.cli.interruption import on_interruption

def interrupt():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    waiting.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

waiting = threading.Event()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
with on_interruption(signal.default_int_handler):
    threading.Thread(target=interrupt, daemon=True).start()
    threading.Timer(0.1, waiting.set).start()
    try:
        queue.SimpleQueue().get()
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_a_signal_that_wakes_nobody_is_noticed() -> None:
    """A wait without a time limit ends all the same."""
    done = subprocess.run(
        [sys.executable, "-c", UNNOTICED], capture_output=True, text=True, timeout=SECONDS
    )

    assert (130, "") == (done.returncode, done.stderr)


def test_everything_is_put_back() -> None:
    """Handlers and timer are as before, also for those who have a timer of their own."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    timer = signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)
    with pytest.raises(KeyboardInterrupt):
        with on_interruption(signal.default_int_handler):
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(SECONDS)

    assert before == [signal.getsignal(number) for number in numbers]
    assert timer == (signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0))


def test_on_another_thread_it_does_nothing() -> None:
    """Signals are the main thread's."""
    seen = []

    def look() -> None:
        with on_interruption(signal.default_int_handler):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(SECONDS)

    assert [signal.getsignal(signal.SIGTERM)] == seen


# Ctrl-C while the command's modules are imported.
STARTING = """
import importlib.abc, os, runpy, signal, sys

class Interrupted(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "telephony.client":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupted())
sys.argv[1:] = ["dial"]
runpy.run_module("telephony", run_name="__main__")
"""


def test_while_it_starts() -> None:
    """Then there is nothing to say, and the exit code is the usual one."""
    done = subprocess.run(
        [sys.executable, "-c", STARTING], capture_output=True, text=True, timeout=SECONDS
    )

    assert (130, "", "") == (done.returncode, done.stdout, done.stderr)


GONE = "what cannot be printed"


@pytest.mark.parametrize("told, obeyed", [
    ([GONE, signal.SIGHUP], [True, False]),
    ([signal.SIGHUP, GONE], [True]),
    ([GONE, GONE], [True]),
    ([signal.SIGINT, signal.SIGHUP], [True, False]),
    ([signal.SIGINT, signal.SIGINT], [True, True]),
    ([GONE, signal.SIGINT], [True, True]),
    ([signal.SIGHUP, signal.SIGTERM], [True, True]),
])  # fmt: skip
def test_a_terminal_that_is_gone_interrupts_once(told, obeyed):
    """However it is told: twice would keep the first from hanging up. Who asks again is obeyed."""
    out = Columns(io.StringIO(), io.StringIO())
    found = []
    with on_interruption(lambda number, frame: found.append(out.obeys(number))):
        for each in told:
            if each is GONE:
                out._interrupt()
            else:
                signal.raise_signal(each)
    assert obeyed == found


def test_a_terminal_that_is_gone_is_noticed_by_both_at_once():
    """The SIGHUP is not handled yet when something cannot be printed."""
    out = Columns(io.StringIO(), io.StringIO())
    found = []
    with on_interruption(lambda number, frame: found.append(out.obeys(number))):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
        signal.raise_signal(signal.SIGHUP)
        out._interrupt()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGHUP])
    assert [True, False] == found
