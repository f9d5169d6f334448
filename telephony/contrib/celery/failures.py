"""The library's errors on their way through a result backend.

Celery keeps an exception as its class and its ``args``, and makes it again by calling the one with
the other, which the library's do not take. Each class here is a subclass, of the same name, that
does: what a task raises is caught as the library's own on the other side, with its message and its
plain attributes.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

from telephony import errors
from telephony.errors import TelephonyError

_KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, TelephonyError)
]

#: What an error has without being told.
_DEFAULTS: Mapping[str, Any] = {
    "action": "",
    "reason": "",
    "request_id": "",
    "call": None,
    "call_id": None,
    "status_code": None,
    "data": {},
    "phase": "",
    "retry_after": None,
    "permanent": False,
    "cause": None,
    "digits": "",
}


def _init(self: TelephonyError, message: str = "", fields: Mapping[str, Any] = {}) -> None:
    Exception.__init__(self, message, dict(fields))
    vars(self).update({**_DEFAULTS, **fields})


def _text(self: TelephonyError) -> str:
    return str(self.args[0]) if self.args else ""


def _repr(self: TelephonyError) -> str:
    return f"{type(self).__name__}({str(self)!r})"


_portable: dict[type[TelephonyError], type[TelephonyError]] = {}
for _kind in _KINDS:
    _portable[_kind] = globals()[_kind.__name__] = type(
        _kind.__name__,
        (_kind,),
        {
            "__init__": _init,
            "__str__": _text,
            "__repr__": _repr,
            "__doc__": _kind.__doc__,
            "__module__": __name__,
            "__qualname__": _kind.__name__,
        },
    )


def not_found(action: str, call_id: str, why: str) -> TelephonyError:
    """The error for a call that no line has."""
    return portable(
        errors.CallNotFoundError(
            f"{action} of call {call_id}: {why}", action=action, reason=why, call_id=call_id
        )
    )


def portable(error: TelephonyError) -> TelephonyError:
    """*error* as a result backend can keep it; its ``call``, a thing of its process, stays behind.
    """
    kind = _portable.get(type(error))
    if kind is None:
        return error
    fields = {name: value for name, value in vars(error).items() if _is_plain(value)}
    carried: Any = kind
    made: TelephonyError = carried(str(error), fields)
    return made


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return value is not None
