"""One time limit over many steps, and waits that no signal is lost in."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from telephony.runtime.deadline import Deadline, wait

# A signal that comes just before a wait sets a flag and wakes nobody. Blocking it on the main
# thread and sending it to another makes that certain: the main thread's wait is not interrupted.
UNNOTICED = """
import signal, sys, threading
from telephony.runtime.deadline import wait

def interrupt():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    waiting.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

waiting = threading.Event()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
threading.Thread(target=interrupt, daemon=True).start()
threading.Timer(0.1, waiting.set).start()
try:
    wait(threading.Event(), {seconds})
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("seconds", ["None", "3600"])
def test_a_signal_that_wakes_nobody_is_noticed(seconds):
    """Ctrl-C ends a wait, however long it is, whenever it comes."""
    done = subprocess.run(
        [sys.executable, "-c", UNNOTICED.format(seconds=seconds)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (130, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("seconds", [0, 0.01, 0.6])
def test_a_wait_ends_with_its_time(seconds):
    """On the main thread and on others, in slices or not."""
    assert wait(threading.Event(), seconds) is False
    results = []
    thread = threading.Thread(target=lambda: results.append(wait(threading.Event(), seconds)))
    thread.start()
    thread.join(10)
    assert [False] == results


def test_a_wait_ends_with_the_event():
    """Also one that begins after it was set."""
    event = threading.Event()
    threading.Timer(0.01, event.set).start()
    assert wait(event, 10) is True
    assert wait(event, 0) is True


def test_what_is_left_of_a_deadline():
    """It is never below zero, and a deadline without a limit never passes."""
    assert (0.0, True) == (Deadline(0).remaining(), Deadline(0).expired)
    assert 0 < (Deadline(10).remaining() or 0) <= 10
    assert (None, False) == (Deadline(None).remaining(), Deadline(None).expired)
