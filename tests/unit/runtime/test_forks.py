"""Around a fork: nothing that another thread holds in a log handler stays held in the child."""

from __future__ import annotations

import logging
import os
import signal
import threading

import pytest

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def handler(scripted):
    """A handler of a stream with a buffer (whose lock no fork renews), and a client."""
    logger = logging.getLogger("telephony")
    with open(os.devnull, "w", encoding="utf-8") as stream:
        handler = logging.StreamHandler(stream)
        logger.addHandler(handler)
        client = scripted.client()
        yield handler
        client.close()
        logger.removeHandler(handler)


def test_a_fork_while_others_log(handler):
    """A hundred children each log a line, which none could if a thread had been in the stream."""
    over = threading.Event()
    record = logging.makeLogRecord({"name": "telephony", "msg": "x" * 100})

    def write():
        while not over.is_set():
            handler.handle(record)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(100):
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                handler.handle(record)
                os._exit(0)
            assert (child, 0) == os.waitpid(child, 0)
    finally:
        over.set()
        for writer in writers:
            writer.join()


def test_a_handler_that_hangs_does_not_hang_the_fork(handler):
    """It is waited for, and then the fork goes on."""
    in_it, go = threading.Event(), threading.Event()

    def hold():
        with handler.lock:
            in_it.set()
            go.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert in_it.wait(10)
        child = os.fork()
        if child == 0:
            os._exit(7)
        assert 7 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        go.set()
        holder.join()
    assert handler.lock.acquire(timeout=10)
    handler.lock.release()
