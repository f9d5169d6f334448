"""Every exception the library raises.

A command ends in one of three ways: with its result or a refusal, *not sent* (safe to try
again), or with its *outcome unknown* (the library never tries it again for you)::

    TelephonyError
    ├── InvalidArgumentError (ValueError)      refused before anything was sent
    ├── ConnectError (ConnectionError)         no connection was made
    │   └── RegistrationError                  the CM refused the credentials; not retried
    ├── NotSentError                           not a byte left: safe to retry
    │   ├── NotConnectedError
    │   ├── ClientClosedError
    │   └── ForkedClientError                  used in a child process
    ├── OutcomeUnknownError                    sent, perhaps in part, and no answer came
    │   ├── CommandTimeoutError (TimeoutError)
    │   └── ConnectionLostError (ConnectionError)
    ├── CommandRefusedError                    the CM said no
    │   ├── CallNotFoundError
    │   └── DialFailedError
    ├── CallEndedError                         the call ended while something waited for it
    ├── WaitTimeoutError (TimeoutError)
    └── ProtocolError                          the CM sent what cannot be read

No message holds a token, a password or a SIP URI's credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

if TYPE_CHECKING:
    from telephony.call import Call


def _rebuilt(kind: type[TelephonyError], args: tuple[Any, ...]) -> TelephonyError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class TelephonyError(Exception):
    """The base of everything the library raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Copying and pickling would call __init__ without the keywords it needs.
        return _rebuilt, (type(self), self.args), vars(self)


class InvalidArgumentError(TelephonyError, ValueError):
    """An argument or option is wrong; nothing was sent. The message names it."""


class ConnectError(TelephonyError, ConnectionError):
    """No connection to the Call Manager could be made.

    ``phase`` says which step failed: ``dns``, ``tcp``, ``tls``, ``proxy``, ``upgrade`` or
    ``register``. ``status_code`` is the HTTP status when the server (or a proxy) gave one.
    ``retry_after`` is what the server asked to wait, in seconds, or None. ``permanent`` is
    true when trying again cannot help: a certificate that is not trusted, a bad URL.
    """

    def __init__(
        self,
        message: str,
        *,
        phase: str,
        status_code: int | None = None,
        retry_after: float | None = None,
        permanent: bool = False,
    ) -> None:
        super().__init__(message)
        self.phase = phase
        self.status_code = status_code
        self.retry_after = retry_after
        self.permanent = permanent


class RegistrationError(ConnectError):
    """The Call Manager refused the credentials. It is not tried again.

    ``reason`` is the Call Manager's word for it, as sent (``unauthorized``).
    """

    def __init__(
        self,
        message: str,
        *,
        phase: str = "register",
        reason: str = "",
        status_code: int | None = None,
    ) -> None:
        super().__init__(message, phase=phase, status_code=status_code, permanent=True)
        self.reason = reason


class NotSentError(TelephonyError):
    """Not a byte of the command left this process: it is safe to try again."""


class NotConnectedError(NotSentError):
    """There is no connection now (never made, lost, or being made again)."""


class ClientClosedError(NotSentError):
    """The client was closed."""


class ForkedClientError(NotSentError):
    """The client belongs to the parent process; call ``connect()`` here to get a connection."""


class OutcomeUnknownError(TelephonyError):
    """The command left, at least in part, and no answer came: it may have been carried out.

    ``action`` is the wire's word for the command, ``request_id`` its id on the wire; after a
    dial ``call`` is the handle of the call that may exist.
    """

    def __init__(
        self, message: str, *, action: str, request_id: str, call: Call | None = None
    ) -> None:
        super().__init__(message)
        self.action = action
        self.request_id = request_id
        self.call = call


class CommandTimeoutError(OutcomeUnknownError, TimeoutError):
    """The Call Manager did not answer the command in time."""


class ConnectionLostError(OutcomeUnknownError, ConnectionError):
    """The connection was lost.

    As the end of a command: it was lost after the command left and before its answer came.
    In ``Disconnected`` events ``action`` and ``request_id`` are empty.
    """

    def __init__(
        self,
        message: str,
        *,
        action: str = "",
        request_id: str = "",
        call: Call | None = None,
    ) -> None:
        super().__init__(message, action=action, request_id=request_id, call=call)


class CommandRefusedError(TelephonyError):
    """The Call Manager answered that it did not carry out the command.

    ``action`` is the wire's word for the command, ``reason`` the Call Manager's, as sent
    (with our own secrets masked), ``status_code`` the number in the response or None,
    ``call_id`` the call it was for or None, ``data`` the rest of the response.
    """

    def __init__(
        self,
        message: str,
        *,
        action: str,
        reason: str,
        status_code: int | None = None,
        call_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.action = action
        self.reason = reason
        self.status_code = status_code
        self.call_id = call_id
        self.data: Mapping[str, Any] = data if data is not None else {}


class CallNotFoundError(CommandRefusedError):
    """The Call Manager does not know the call: it ended, or its time to be accepted ran out."""


class DialFailedError(CommandRefusedError):
    """The Call Manager or its gateway did not place the call."""


class CallEndedError(TelephonyError):
    """The call ended (or is not ours any more) before what was waited for.

    ``call`` is the call, ``cause`` its hangup cause or None. ``digits`` is what
    ``collect_digits`` had heard until then.
    """

    def __init__(
        self, message: str, *, call: Call, cause: str | None = None, digits: str = ""
    ) -> None:
        super().__init__(message)
        self.call = call
        self.cause = cause
        self.digits = digits


class WaitTimeoutError(TelephonyError, TimeoutError):
    """What was waited for did not happen in time; nothing else changed."""


class ProtocolError(TelephonyError):
    """The Call Manager sent what cannot be read."""
