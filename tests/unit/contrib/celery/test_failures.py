"""The library's errors through a result backend."""

from __future__ import annotations

import pickle

import pytest
from celery import Celery

from telephony import errors
from telephony.contrib.celery.failures import not_found, portable

ERRORS = [
    errors.InvalidArgumentError("to must not be empty"),
    errors.NotConnectedError("not connected"),
    errors.ConnectError("no route", phase="tcp", status_code=502),
    errors.RegistrationError("unauthorized", reason="unauthorized"),
    errors.CommandTimeoutError("no answer", action="hangup", request_id="hangup_1"),
    errors.ConnectionLostError("lost", action="outbound", call=object()),
    errors.CommandRefusedError("refused", action="bridge", reason="busy", data={"a": 1}),
    errors.CallNotFoundError("gone", action="hangup", reason="gone", call_id="call-1"),
    errors.DialFailedError("Busy", action="outbound", reason="Busy", status_code=200),
]


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_as_its_class(error, serializer):
    """With its message and what of its attributes is plain; the call stays behind."""
    app = Celery("shop", backend="cache+memory://")
    app.conf.update(result_serializer=serializer, accept_content=["json", "pickle"])
    backend = app.backend
    back = backend.exception_to_python(
        backend.decode(backend.encode(backend.prepare_exception(portable(error))))
    )
    app.close()
    assert isinstance(back, type(error))
    assert str(error) == str(back)
    for name, value in vars(error).items():
        assert (None if name == "call" else value) == getattr(back, name)


def test_portable_errors_read_well():
    """In logs they look like the library's own, and can be pickled as they are."""
    error = not_found("hangup", "call-1", "no worker knows the call")
    assert "CallNotFoundError('hangup of call call-1: no worker knows the call')" == repr(error)
    assert str(error) == str(pickle.loads(pickle.dumps(error)))
