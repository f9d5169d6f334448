"""Every way of the CM's to say no reaches the caller, with its reason and what to do."""

from __future__ import annotations

import pytest

from telephony import CallNotFoundError, CommandRefusedError, DialFailedError, RegistrationError
from telephony.protocol.refusals import refusal_of, refused, registration_refused
from telephony.protocol.wire import Secrets

SECRETS = Secrets("Basic c2VjcmV0LXRva2Vu")

YES = [
    {"status_code": 200, "data": {"success": True}},
    {"status_code": 200, "data": {}},
    {"status_code": 200},
    {"data": {"success": "true", "reason": "fine"}},
    {"data": {"success": 1}},
    {"status_code": "204"},
    {"error": None, "data": {"success": True}},
    {"error": "", "status_code": 399},
    {"error": False},
    {"data": "text"},
    {"data": None},
    {},
]

NO = [
    ({"error": "callid not found"}, ("callid not found", None)),
    ({"error": "boom", "status_code": 200, "data": {"success": True}}, ("boom", 200)),
    ({"error": 42}, ("42", None)),
    ({"error": {"code": 1}}, ("", None)),
    ({"error": True}, ("", None)),
    ({"error": ["x"], "message": "m"}, ("m", None)),
    ({"status_code": 200, "data": {"success": False, "reason": "Busy"}}, ("Busy", 200)),
    ({"data": {"success": False}}, ("", None)),
    ({"data": {"success": "false", "reason": "Busy"}}, ("Busy", None)),
    ({"data": {"success": None}}, ("", None)),
    ({"data": {"success": 0, "error": "e"}}, ("e", None)),
    ({"data": {"success": False, "message": "m"}}, ("m", None)),
    ({"data": {"success": False, "reason": 486}}, ("486", None)),
    ({"status_code": 400}, ("", 400)),
    ({"status_code": "503", "data": {"reason": "no resource"}}, ("no resource", 503)),
    ({"status_code": 404, "data": {"success": True}}, ("", 404)),
    ({"status_code": 500, "reason": "missing parameters"}, ("missing parameters", 500)),
]


@pytest.mark.parametrize("frame", YES, ids=str)
def test_success(frame):
    """No error, no false success, no status of 400 and above."""
    assert refusal_of(frame) is None
    assert refused("accept", frame, SECRETS) is None


@pytest.mark.parametrize("frame, refusal", NO, ids=str)
def test_refusal(frame, refusal):
    """Any of the three is enough; the reason is taken from wherever it is."""
    assert refusal == refusal_of(frame)
    error = refused("accept", frame, SECRETS, "id-1")
    assert isinstance(error, CommandRefusedError)
    assert ("accept", *refusal, "id-1") == (
        error.action,
        error.reason,
        error.status_code,
        error.call_id,
    )
    assert "the CM refused accept of call id-1: " in str(error)


@pytest.mark.parametrize(
    "action, frame, kind",
    [
        ("accept", {"error": "callid not found"}, CallNotFoundError),
        ("accept", {"status_code": 404}, CallNotFoundError),
        ("hangup", {"error": "callid not active"}, CallNotFoundError),
        ("hangup", {"error": "Not Found"}, CallNotFoundError),
        ("accept", {"error": "already accepted"}, CommandRefusedError),
        ("outbound", {"error": "not found"}, DialFailedError),
        ("outbound", {"status_code": 404}, DialFailedError),
    ],
    ids=str,
)
def test_the_kind_of_refusal(action, frame, kind):
    """A dial has its own, and so has a call that the CM does not know."""
    assert kind is type(refused(action, frame, SECRETS))


@pytest.mark.parametrize(
    "frame, reason",
    [
        ({"data": {"success": False, "reason": "Busy"}}, "Busy"),
        ({"data": {"success": False}}, "no gateways available"),
        ({"data": {"success": False, "reason": ""}}, "no gateways available"),
    ],
)
def test_a_dial_that_failed(frame, reason):
    """The reason as sent, or what its absence means."""
    error = refused("outbound", frame, SECRETS)
    assert reason == error.reason
    assert f"the CM did not place the call: {reason}" in str(error)


@pytest.mark.parametrize(
    "reason, advice",
    [
        ("unauthorized", "AUTH_TOKEN"),
        ("appid required in MULTI mode", "app_id="),
        ("callid not found", "ended"),
        ("no resource", "try again later"),
        ("current channel/uid mismatch", "call.channel"),
        ("call not bridged; use bridge", "use bridge"),
        ("rebridge already in progress", "BridgeStarted"),
        ("no gateways available", "region"),
    ],
)
def test_what_to_do(reason, advice):
    """The message says it; the reason stays as it was sent."""
    error = refused("rebridge", {"error": reason}, SECRETS)
    assert reason == error.reason
    assert advice in str(error)


def test_no_refusal_shows_a_secret():
    """When the CM repeats ours in its reason, or others in its data."""
    frame = {
        "error": "bad token c2VjcmV0LXRva2Vu",
        "data": {"token": "other", "gateway_ip": "1.2.3.4"},
    }
    error = refused("accept", frame, SECRETS)
    assert "bad token ***" == error.reason
    assert "c2Vj" not in str(error) + repr(error)
    assert {"token": "***", "gateway_ip": "1.2.3.4"} == error.data


def test_the_rest_of_a_response_without_data():
    """``data`` is always a mapping."""
    assert {} == refused("accept", {"error": "x"}, SECRETS).data
    assert {} == refused("accept", {"error": "x", "data": [1]}, SECRETS).data


@pytest.mark.parametrize(
    "frame, reason, message",
    [
        ({"error": "unauthorized"}, "unauthorized", "registration failed: unauthorized"),
        ({"status": "busy"}, "busy", "registration failed: unexpected status: busy"),
        ({"status": None, "error": [1]}, "", "registration failed: unexpected status: none"),
        ({"error": "no c2VjcmV0LXRva2Vu"}, "no ***", "registration failed: no ***"),
    ],
)
def test_a_refused_registration(frame, reason, message):
    """The protocol's words, and no secret."""
    error = registration_refused(frame, SECRETS)
    assert RegistrationError is type(error)
    assert "register" == error.phase
    assert reason == error.reason
    assert str(error).startswith(message)
    assert error.permanent
