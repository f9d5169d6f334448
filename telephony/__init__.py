"""Place, receive and control phone calls through the Agora SIP Call Manager.

``Client`` is where to begin; README.rst shows a script and a service.

The names below are loaded when they are first used: the pytest plugin makes every pytest run on
a machine import this package.
"""

import importlib
from typing import TYPE_CHECKING, Any

from telephony._version import __version__

if TYPE_CHECKING:
    from telephony.call import Call
    from telephony.client import Client, Health
    from telephony.errors import (
        CallEndedError,
        CallNotFoundError,
        ClientClosedError,
        CommandRefusedError,
        CommandTimeoutError,
        ConnectError,
        ConnectionLostError,
        DialFailedError,
        ForkedClientError,
        InvalidArgumentError,
        NotConnectedError,
        NotSentError,
        OutcomeUnknownError,
        ProtocolError,
        RegistrationError,
        TelephonyError,
        WaitTimeoutError,
    )
    from telephony.handlers import EventHandler
    from telephony.protocol.calls import CallInfo
    from telephony.protocol.events import (
        BridgeEnded,
        BridgeFailed,
        BridgeStarted,
        CallAnswered,
        CallEvent,
        CallHangup,
        CallIncoming,
        CallInitiated,
        CallOrphaned,
        CallRinging,
        Connected,
        Disconnected,
        DtmfReceived,
        ErrorOccurred,
        Event,
        Gap,
        UnknownEvent,
    )
    from telephony.protocol.states import CallState, ConnectionState
    from telephony.runtime.backoff import Backoff
else:  # unseen by type checkers, for which a module with a __getattr__ has any name one likes

    def __getattr__(name: str) -> Any:
        """What is not loaded yet (PEP 562); it is found without this from then on."""
        if name in __all__:
            for module in map(importlib.import_module, _MODULES):
                if name in vars(module):
                    return globals().setdefault(name, vars(module)[name])
        elif not name.startswith("_"):
            importlib.import_module(_MODULES[-1])  # all of the core, as our attributes
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


#: Where the names are looked for, from the bottom up; the last imports all the others.
_MODULES = (
    "telephony.errors",
    "telephony.protocol.states",
    "telephony.protocol.events",
    "telephony.protocol.calls",
    "telephony.runtime.backoff",
    "telephony.handlers",
    "telephony.call",
    "telephony.client",
)

__all__ = [
    "Backoff",
    "BridgeEnded",
    "BridgeFailed",
    "BridgeStarted",
    "Call",
    "CallAnswered",
    "CallEndedError",
    "CallEvent",
    "CallHangup",
    "CallIncoming",
    "CallInfo",
    "CallInitiated",
    "CallNotFoundError",
    "CallOrphaned",
    "CallRinging",
    "CallState",
    "Client",
    "ClientClosedError",
    "CommandRefusedError",
    "CommandTimeoutError",
    "ConnectError",
    "Connected",
    "ConnectionLostError",
    "ConnectionState",
    "DialFailedError",
    "Disconnected",
    "DtmfReceived",
    "ErrorOccurred",
    "Event",
    "EventHandler",
    "ForkedClientError",
    "Gap",
    "Health",
    "InvalidArgumentError",
    "NotConnectedError",
    "NotSentError",
    "OutcomeUnknownError",
    "ProtocolError",
    "RegistrationError",
    "TelephonyError",
    "UnknownEvent",
    "WaitTimeoutError",
    "__version__",
]
