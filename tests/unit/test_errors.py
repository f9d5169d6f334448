"""The tree of errors exactly as api.md draws it, and what each of them carries."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import telephony
from telephony import errors

TREE = {
    "TelephonyError": {"Exception"},
    "InvalidArgumentError": {"TelephonyError", "ValueError"},
    "ConnectError": {"TelephonyError", "ConnectionError"},
    "RegistrationError": {"ConnectError"},
    "NotSentError": {"TelephonyError"},
    "NotConnectedError": {"NotSentError"},
    "ClientClosedError": {"NotSentError"},
    "ForkedClientError": {"NotSentError"},
    "OutcomeUnknownError": {"TelephonyError"},
    "CommandTimeoutError": {"OutcomeUnknownError", "TimeoutError"},
    "ConnectionLostError": {"OutcomeUnknownError", "ConnectionError"},
    "CommandRefusedError": {"TelephonyError"},
    "CallNotFoundError": {"CommandRefusedError"},
    "DialFailedError": {"CommandRefusedError"},
    "CallEndedError": {"TelephonyError"},
    "WaitTimeoutError": {"TelephonyError", "TimeoutError"},
    "ProtocolError": {"TelephonyError"},
}


def test_the_tree():
    """These classes with these bases, and no others."""
    found = {
        name: {base.__name__ for base in kind.__bases__}
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, BaseException)
    }
    assert TREE == found


@pytest.mark.parametrize("name", TREE)
def test_each_is_public_and_explained(name):
    """Importable from ``telephony``, with a docstring of its own and in the drawn tree."""
    kind = getattr(telephony, name)
    assert kind.__doc__ and "__doc__" in vars(kind)
    assert name in errors.__doc__


def test_what_is_safe_to_try_again():
    """Not sent, outcome unknown and refused are three different things."""
    for one, other in (
        (errors.NotSentError, errors.OutcomeUnknownError),
        (errors.NotSentError, errors.CommandRefusedError),
        (errors.OutcomeUnknownError, errors.CommandRefusedError),
    ):
        assert not issubclass(one, other)
        assert not issubclass(other, one)
    assert not issubclass(errors.NotConnectedError, ConnectionError)


def test_connect_error():
    """Where it stopped, and the HTTP status if there was one."""
    error = errors.ConnectError("no", phase="upgrade", status_code=502, retry_after=3)
    assert ("no", "upgrade", 502, 3) == (
        str(error),
        error.phase,
        error.status_code,
        error.retry_after,
    )
    assert errors.ConnectError("no", phase="dns").status_code is None


def test_registration_error():
    """A refusal of the credentials is final, in either phase."""
    error = errors.RegistrationError("no", reason="unauthorized")
    assert ("register", "unauthorized", True) == (error.phase, error.reason, error.permanent)
    error = errors.RegistrationError("no", phase="upgrade", status_code=401)
    assert ("upgrade", 401) == (error.phase, error.status_code)


def test_outcome_unknown():
    """What was under way, and the handle after a dial."""
    for kind in (
        errors.OutcomeUnknownError,
        errors.CommandTimeoutError,
        errors.ConnectionLostError,
    ):
        error = kind("no", action="outbound", request_id="outbound_1", call="the call")
        assert ("outbound", "outbound_1", "the call") == (
            error.action,
            error.request_id,
            error.call,
        )
        assert kind("no", action="x", request_id="x_1").call is None


def test_refused():
    """The CM's words, and what they were about."""
    for kind in (errors.CommandRefusedError, errors.CallNotFoundError, errors.DialFailedError):
        error = kind(
            "no", action="accept", reason="why", status_code=404, call_id="id-1", data={"a": 1}
        )
        assert ("accept", "why", 404, "id-1", {"a": 1}) == (
            error.action,
            error.reason,
            error.status_code,
            error.call_id,
            error.data,
        )
        bare = kind("no", action="accept", reason="")
        assert (None, None, {}) == (bare.status_code, bare.call_id, bare.data)


def test_call_ended():
    """Which call, why, and what it had pressed."""
    error = errors.CallEndedError("over", call="the call", cause="USER_BUSY", digits="12")
    assert ("the call", "USER_BUSY", "12") == (error.call, error.cause, error.digits)


@pytest.mark.parametrize("how", ["copy", "pickle"])
@pytest.mark.parametrize(
    "error",
    [
        errors.ConnectError("no", phase="tcp"),
        errors.RegistrationError("no", reason="r"),
        errors.CommandTimeoutError("no", action="x", request_id="x_1"),
        errors.CommandRefusedError("no", action="x", reason="r"),
        errors.CallEndedError("over", call=None),
        errors.InvalidArgumentError("to must not be empty"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_can_be_copied(error, how):
    """As frameworks do that carry errors to another thread or process."""
    copied = copy.copy(error) if how == "copy" else pickle.loads(pickle.dumps(error))
    assert type(error) is type(copied)
    assert str(error) == str(copied)
    assert vars(error) == vars(copied)
