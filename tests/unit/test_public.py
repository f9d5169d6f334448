"""Every name of the public interface is there, explained, and is what it is said to be."""

from __future__ import annotations

import inspect

import pytest

import telephony

NAMES = """
Client Call CallInfo CallState ConnectionState Backoff Health EventHandler
Event CallEvent CallIncoming CallInitiated CallRinging CallAnswered BridgeStarted BridgeEnded
BridgeFailed CallHangup DtmfReceived UnknownEvent
Connected Disconnected Gap CallOrphaned ErrorOccurred
TelephonyError InvalidArgumentError ConnectError RegistrationError NotSentError
NotConnectedError ClientClosedError ForkedClientError OutcomeUnknownError CommandTimeoutError
ConnectionLostError CommandRefusedError CallNotFoundError DialFailedError CallEndedError
WaitTimeoutError ProtocolError
""".split()

COMMANDS = """
accept reject hangup send_dtmf bridge unbridge rebridge transfer
""".split()

CLIENT = [
    *COMMANDS,
    *"""
    connect close connected state wait_connected run_forever dial subscribe command calls call
    on off set_handler health from_env __enter__ __exit__
    """.split(),
]

CALL = [
    *COMMANDS,
    *"""
    info call_id state direction from_ to channel uid app_id video created_at answered_at
    ended_at hangup_cause duration billsec sip_disposition sip_headers stale active
    wait_answered wait_bridged wait_ended wait_for collect_digits on __enter__ __exit__
    """.split(),
]

OPTIONS = {
    "subscribe_numbers": None,
    "connect_timeout": 10,
    "command_timeout": 30,
    "dial_timeout": 90,
    "ping_interval": 5,
    "ping_timeout": 10,
    "reconnect": True,
    "workers": 16,
    "token_provider": None,
    "orphan_policy": "hangup",
    "callback_context": None,
    "send_timeout": 10,
    "ssl_context": None,
    "headers": None,
    "proxy": None,
    "max_message_size": 1 << 20,
    "stale_timeout": 3600,
    "allow_insecure": False,
    "hooks": None,
}

FIELDS = {
    "Event": "name timestamp raw",
    "CallEvent": "call info",
    "BridgeFailed": "reason",
    "CallHangup": "hangup_cause duration billsec sip_disposition",
    "DtmfReceived": "digits echo",
    "UnknownEvent": "call info",
    "Connected": "session_id reconnected",
    "Disconnected": "error",
    "Gap": "seconds stale_calls",
    "CallOrphaned": "call",
    "ErrorOccurred": "error",
    "Health": "connected session_id last_seen_age in_flight queued_events active_calls reconnects "
    "protocol_errors dropped_events",
}

CALL_EVENTS = """
CallIncoming CallInitiated CallRinging CallAnswered BridgeStarted BridgeEnded BridgeFailed
CallHangup DtmfReceived
""".split()

HANDLER = {
    "on_connected": ["session_id"],
    "on_call_incoming": ["call"],
    "on_call_ringing": ["call"],
    "on_call_answered": ["call"],
    "on_bridge_start": ["call"],
    "on_bridge_end": ["call"],
    "on_call_hangup": ["call"],
    "on_dtmf_received": ["call", "digits"],
    "on_error": ["error"],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name(name):
    """Importable from ``telephony``, listed, and explained."""
    thing = getattr(telephony, name)
    assert name in telephony.__all__
    assert name == thing.__name__
    assert thing.__doc__ and len(thing.__doc__) > 10


def test_nothing_else_is_public():
    """What is listed is what api.md names, and the version."""
    assert sorted([*NAMES, "__version__"]) == sorted(telephony.__all__)
    assert telephony.__version__.split(".")[0].isdigit()


@pytest.mark.parametrize("name", CLIENT)
def test_a_member_of_the_client(name):
    """With a docstring, unless the language says what it does."""
    member = inspect.getattr_static(telephony.Client, name)
    member = getattr(member, "__func__", member)
    assert name.startswith("__") or inspect.getdoc(member)


@pytest.mark.parametrize("name", CALL)
def test_a_member_of_a_call(name):
    """The same commands as the client's, without the first argument."""
    assert hasattr(telephony.Call, name)
    if name in COMMANDS:
        of_client = list(inspect.signature(getattr(telephony.Client, name)).parameters)[2:]
        of_call = list(inspect.signature(getattr(telephony.Call, name)).parameters)[1:]
        unknown = {"direction", "current_channel", "current_uid", "app_id"}  # a call knows its own
        assert set() == set(of_call) - set(of_client)
        assert set() == set(of_client) - set(of_call) - unknown
        assert inspect.getdoc(getattr(telephony.Call, name))


def test_the_options_and_their_defaults():
    """Keyword only; the four names before them by position or by name."""
    parameters = inspect.signature(telephony.Client).parameters
    assert ["url", "auth_token", "client_id", "app_id"] == list(parameters)[:4]
    keywords = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert OPTIONS == keywords


@pytest.mark.parametrize("name, fields", FIELDS.items(), ids=list(FIELDS))
def test_the_fields_of_a_value(name, fields):
    """All there, and frozen."""
    kind = getattr(telephony, name)
    slots = {field.name for field in kind.__attrs_attrs__}
    assert set() == set(fields.split()) - slots
    with pytest.raises(AttributeError):
        kind.__setattr__(object.__new__(kind), fields.split()[0], 1)


def test_what_kinds_of_event_there_are():
    """Call events are CallEvents, all are Events."""
    events = [
        thing
        for name in NAMES
        if isinstance(thing := getattr(telephony, name), type)
        and issubclass(thing, telephony.Event)
    ]
    of_calls = {kind.__name__ for kind in events if issubclass(kind, telephony.CallEvent)}
    assert {*CALL_EVENTS, "CallEvent", "UnknownEvent"} == of_calls


def test_the_handler_interface():
    """The Go SDK's, every method doing nothing."""
    handler = telephony.EventHandler()
    methods = {name for name in vars(telephony.EventHandler) if name.startswith("on_")}
    assert set(HANDLER) == methods
    for name, arguments in HANDLER.items():
        assert arguments == list(inspect.signature(getattr(handler, name)).parameters)
        assert not getattr(handler, name)(*arguments)
        assert getattr(handler, name).__doc__


@pytest.mark.parametrize("name", ["wait_answered", "wait_bridged", "wait_ended", "wait_connected"])
def test_a_timeout_can_be_given_by_name(name):
    """Seconds; None is for ever."""
    kind = telephony.Client if name == "wait_connected" else telephony.Call
    timeout = inspect.signature(getattr(kind, name)).parameters["timeout"]
    assert timeout.default is None


@pytest.mark.parametrize("method", ["dial", *COMMANDS, "subscribe", "command"])
def test_every_command_takes_its_own_timeout(method):
    """``command_timeout``, by name."""
    parameter = inspect.signature(getattr(telephony.Client, method)).parameters["command_timeout"]
    assert parameter.default is None
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
