"""What the log says of a client's life, and that no lock is held while it is said."""

from __future__ import annotations

import logging

import pytest

from telephony import Backoff, CallHangup, CallOrphaned, CommandTimeoutError, Gap
from tests.conftest import DIAL
from tests.scripted import SECONDS, Recorded, Running


@pytest.fixture
def log(caplog):
    """All lines of the library's logger, as text."""
    caplog.set_level(logging.DEBUG, "telephony")
    return lambda level: [
        record.getMessage() for record in caplog.records if record.levelno == level
    ]


def test_one_line_for_each_change_of_state(scripted, log):
    """With the call's id and the event or request that did it; copies say nothing."""
    client, line = scripted.connected(reconnect=Backoff(0.01, 0.02))
    ended, gap = Recorded(), Recorded()
    client.on(CallHangup, ended)
    client.on(Gap, gap)
    dialling = Running(client.dial, **DIAL)
    line.answer(line.receive("outbound"), callid="id-1")
    dialling.result()
    line.event("call_ringing", "id-1")
    line.event("call_answered", "id-1")
    line.event("call_answered", "id-1")
    line.event("call_hangup", "id-1")
    ended.next()
    line.drop()
    scripted.line().greet()
    gap.next()
    client.close()
    said = [text for text in log(logging.INFO) if "->" in text]
    assert [
        "connection idle -> connecting",
        "connection connecting -> connected",
        "call id-1: new -> ringing (outbound_1)",
        "call id-1: ringing -> answered (call_answered)",
        "call id-1: answered -> hangup (call_hangup)",
        "connection connected -> reconnecting",
        "connection reconnecting -> connected",
        "connection connected -> closed",
    ] == said


def test_frames_without_their_secrets(scripted, log):
    """Each frame in either direction at DEBUG, with the request id."""
    client, line = scripted.connected()
    sip = "sip:alice:pa55word@trunk.example"
    dialling = Running(client.dial, **{**DIAL, "sip": sip})
    line.refuse(line.receive("outbound"), "rtc-token-100 is not valid")
    with pytest.raises(Exception, match=r"\*\*\* is not valid"):
        dialling.result()
    client.close()
    said = log(logging.DEBUG)
    sent = [text for text in said if text.startswith("-> ")]
    received = [text for text in said if text.startswith("<- ")]
    assert '"action":"register"' in sent[0] and '"auth_token":"***"' in sent[0]
    assert '"request_id":"outbound_1"' in sent[1] and '"to":"+18005551234"' in sent[1]
    assert ['<- {"error":"*** is not valid","request_id":"outbound_1"}'] == received[2:]
    for secret in ("rtc-token-100", "pa55word", "c2VjcmV0LXRva2Vu"):
        assert not any(secret in text for text in said)


def test_an_orphan_is_a_warning(scripted, log):
    """With its id: somebody will look for it."""
    client, line = scripted.connected(dial_timeout=0.05)
    orphaned = Recorded()
    client.on(CallOrphaned, orphaned)
    dialling = Running(client.dial, **DIAL)
    command = line.receive("outbound")
    with pytest.raises(CommandTimeoutError):
        dialling.result()
    line.answer(command, callid="id-9")
    orphaned.next()
    line.receive("endcall")
    client.close()
    assert "call id-9 turned up after its dial gave up" in log(logging.WARNING)


def test_a_handler_of_the_log_may_use_the_client(scripted):
    """Nothing is logged with the session's lock held: a handler that looks would hang."""
    client = scripted.client()
    seen = []

    class Looking(logging.Handler):
        def emit(self, record):
            seen.append((record.getMessage(), client.health().connected, len(client.calls())))

    logger, handler = logging.getLogger("telephony"), Looking()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        connecting = Running(client.connect)
        line = scripted.line()
        line.greet()
        connecting.result(SECONDS)
        dialling = Running(client.dial, **DIAL)
        line.answer(line.receive("outbound"), callid="id-1")
        dialling.result(SECONDS)
        Running(client.close).result(SECONDS)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert ("connection connecting -> connected", True, 0) in seen
    assert ("call id-1: new -> ringing (outbound_1)", True, 1) in seen
