"""The ways in which the Call Manager says no, made into errors that say what to do."""

from __future__ import annotations

import re

from telephony.errors import (
    CallNotFoundError,
    CommandRefusedError,
    DialFailedError,
    RegistrationError,
)
from telephony.protocol.wire import Frame, Secrets, flag_of, integer_of, text_of, words_of

#: What a dial is refused with when the CM gives no reason.
NO_GATEWAYS = "no gateways available"

_DONE = {"success": True}
#: The CM's reason, to the letter, where it does not know the ``callid``.
UNKNOWN_CALL = "callid not found"
_NOT_FOUND = re.compile(r"\bnot (found|active)\b", re.IGNORECASE)

_ADVICE = (
    (re.compile(r"unauthorized", re.I), "check AUTH_TOKEN and that it covers this App ID"),
    (re.compile(r"appid required", re.I), "pass app_id=: the client serves several App IDs"),
    (_NOT_FOUND, "it has ended, was taken by another client, or its 15 s to be accepted are over"),
    (re.compile(r"no gateways?", re.I), "check the region and the trunk, or try again later"),
    (re.compile(r"no resource", re.I), "every gateway line is busy: try again later"),
    (re.compile(r"mismatch", re.I), "the call is in another channel by now: read call.channel"),
    (re.compile(r"in progress", re.I), "wait for BridgeStarted or BridgeFailed first"),
)


def refusal_of(frame: Frame) -> tuple[str, int | None] | None:
    """Reason (perhaps empty) and status of a response that is a refusal; None if it is not.

    A refusal is an ``error``, a ``data.success`` that is false, or a ``status_code`` of 400
    and above.
    """
    data = frame.get("data")
    if data == _DONE and frame.get("status_code") == 200 and "error" not in frame:
        return None  # as most are
    status = integer_of(frame.get("status_code"))
    if not isinstance(data, dict):
        data = {}
    error = frame.get("error")
    failed = "success" in data and not flag_of(data["success"])
    if not error and not failed and (status is None or status < 400):
        return None
    for words in (error, data.get("reason"), data.get("error"), data.get("message"),
                  frame.get("reason"), frame.get("message")):
        if text_of(words):
            return text_of(words), status
    return "", status


def _advised(message: str, reason: str) -> str:
    for pattern, advice in _ADVICE:
        if pattern.search(reason):
            return f"{message} ({advice})"
    return message


def refused(
    action: str, frame: Frame, secrets: Secrets, call_id: str | None = None
) -> CommandRefusedError | None:
    """The error for a response that refuses *action*; None if it does not."""
    refusal = refusal_of(frame)
    if refusal is None:
        return None
    reason, status = refusal
    reason = words_of(secrets.mask(reason))  # cut only then: half a secret would not be known
    data = secrets.redact(frame.get("data"))
    kind = CommandRefusedError
    if action == "outbound":
        kind = DialFailedError
        reason = reason or NO_GATEWAYS
        message = f"the CM did not place the call: {reason}"
    else:
        if status == 404 or _NOT_FOUND.search(reason):
            kind = CallNotFoundError
        what = f"{action} of call {call_id}" if call_id else action or "a command"
        why = reason or (f"status {status}" if status else "no reason was given")
        message = f"the CM refused {what}: {why}"
    return kind(
        _advised(message, reason),
        action=action,
        reason=reason,
        status_code=status,
        call_id=call_id,
        data=data if isinstance(data, dict) else {},
    )


def registration_refused(frame: Frame, secrets: Secrets) -> RegistrationError:
    """The error for a frame that the CM sends instead of ``registered``."""
    reason = words_of(secrets.mask(text_of(frame.get("error"))))
    if reason:
        message = f"registration failed: {reason}"
    else:
        reason = words_of(secrets.mask(text_of(frame.get("status"))))
        message = f"registration failed: unexpected status: {reason or 'none'}"
    return RegistrationError(_advised(message, reason), reason=reason)
