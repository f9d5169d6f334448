"""The watch for secrets sees what it is there to see."""

from __future__ import annotations

import logging

import pytest

from telephony import InvalidArgumentError
from tests import canary


@pytest.fixture
def watch():
    """A watch of our own, beside the one over every test."""
    with canary.watched(canary.Watch()) as watch:
        yield watch


@pytest.fixture(autouse=True)
def forgiven(no_secret_shown):
    """What is shown here on purpose is not held against the test, but must have been seen."""
    yield
    assert no_secret_shown.shown
    no_secret_shown.shown.clear()


@pytest.mark.parametrize(
    "secret", [canary.RTC_TOKEN, canary.AUTH_TOKEN, canary.SIP, "Basic c2FuZGJveDpzYW5kYm94"]
)
def test_a_log_line(watch, secret):
    """At any level, of any logger of ours, also as an argument."""
    logging.getLogger("telephony.sandbox").debug("sent %s", {"x": secret})
    assert 1 == len(watch.shown)


def test_a_traceback_in_the_log(watch):
    """The text of an exception that is logged counts."""
    try:
        raise ValueError(canary.RTC_TOKEN)
    except ValueError:
        logging.getLogger("telephony").exception("a callback failed")
    assert 1 == len(watch.shown)


def test_an_error_that_is_made(watch):
    """Whether it is raised or told in an event."""
    InvalidArgumentError(f"token {canary.RTC_TOKEN} is wrong")
    assert 2 == len(watch.shown)  # its text and its repr


def test_the_cause_of_an_error(watch):
    """A traceback prints the whole chain."""
    with pytest.raises(KeyError):
        try:
            raise ValueError(canary.SIP)
        except ValueError as cause:
            raise KeyError("x") from cause
    assert ["a traceback"] == [shown.partition(":")[0] for shown in watch.shown]
