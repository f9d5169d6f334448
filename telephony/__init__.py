"""Place, receive and control phone calls through the Agora SIP Call Manager.

``Client`` is where to begin; README.rst shows a script and a service.
"""

from telephony._version import __version__
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
