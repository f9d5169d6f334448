"""Secrets that the whole suite uses, and a watch on every log line and error for them.

The RTC tokens, the connection's credentials and the trunk URI of all tests have one of the marks
in them. Each record of every logger, at any level, is searched for the marks as it is made, with
its traceback; each error of the library as it is made; and what `pytest.raises` catches with its
whole chain of causes, as a traceback would print it (without the lines of code: to look those up
takes longer than most tests).
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from typing import Any, Iterator

import pytest
from _pytest._code import ExceptionInfo

from telephony.errors import TelephonyError
from telephony.sandbox.settings import DEFAULT_AUTH_TOKEN

RTC_TOKEN = "rtc-token-100"
AUTH_TOKEN = "Basic c2VjcmV0LXRva2Vu"
SIP = "sip:alice:pa55word@trunk.example:5081"

#: every secret of the suite has one of these in it
MARKS = (
    "rtc-token-",
    "pa55word",
    AUTH_TOKEN.partition(" ")[2],
    DEFAULT_AUTH_TOKEN.partition(" ")[2],
)


class Watch(logging.Handler):
    """Notes where a secret was shown."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.shown: list[str] = []
        self.looked = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.look("a log line", self.format(record))

    def look(self, where: str, *texts: str) -> None:
        self.looked += 1
        for text in texts:
            if any(mark in text for mark in MARKS):
                self.shown.append(f"{where}: {text}")


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[Watch]:
    """All that is logged and raised inside is looked through."""
    make, fill, root = TelephonyError.__init__, ExceptionInfo.fill_unfilled, logging.getLogger()
    ours = logging.getLogger("telephony")
    level = ours.level

    def made(self: TelephonyError, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        watch.look("an error", str(self), repr(self))

    def caught(self: Any, exc_info: Any) -> None:
        fill(self, exc_info)
        watch.look("a traceback", "".join(traceback.format_exception(exc_info[1], limit=0)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TelephonyError, "__init__", made)
        patch.setattr(ExceptionInfo, "fill_unfilled", caught)
        root.addHandler(watch)
        ours.setLevel(logging.DEBUG)
        try:
            yield watch
        finally:
            ours.setLevel(level)
            root.removeHandler(watch)
