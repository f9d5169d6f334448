"""A lock that is free in a forked child, whoever held it in the parent."""

from __future__ import annotations

import os
import threading


class ProcessLock:
    """As a context manager; not for code that forks inside."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}  # by process; single operations are atomic

    def __enter__(self) -> None:
        self._locks.setdefault(os.getpid(), threading.Lock()).acquire()

    def __exit__(self, *_: object) -> None:
        self._locks[os.getpid()].release()
