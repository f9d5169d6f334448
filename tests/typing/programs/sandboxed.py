# pyright: strict
"""Tests of one's own: the sandbox, its far ends, the fixtures, and the metrics."""

from __future__ import annotations

from typing import Any, Iterator

import pytest
from typing_extensions import assert_type

from telephony import CallIncoming, Client
from telephony.contrib.prometheus import PrometheusHooks
from telephony.sandbox import CallRecord, FarEnd, Sandbox


@pytest.fixture
def caller(telephony_sandbox: Sandbox, telephony_client: Client) -> Iterator[FarEnd]:
    telephony_client.on(CallIncoming, lambda event: True)
    yield telephony_sandbox.incoming(to="+18005550100", from_="+15555550100", hold=3)


def test_it_answers(caller: FarEnd) -> None:
    assert_type(caller.wait_accepted(timeout=5), bool)
    assert_type(caller.wait_heard("1"), str)
    assert_type(caller.press("1#"), None)
    assert_type(caller.hang_up("USER_BUSY"), None)
    assert_type(caller.wait_ended(5), str)
    assert_type((caller.call_id, caller.state, caller.heard), "tuple[str, str, str]")
    assert_type((caller.accepted, caller.ended), "tuple[bool, bool]")
    assert_type(caller.hangup_cause, "str | None")
    assert_type(caller.sip_status, "int | None")
    assert_type(caller.transferred_to, "str | None")


with Sandbox(dids=["+18005550100"], time_scale=50, dtmf_echo="digits", respond="early") as cm:
    assert_type(cm, Sandbox)
    assert_type((cm.url, cm.http_url, cm.auth_token, cm.app_id), "tuple[str, str, str, str]")
    assert_type(cm.app_ids, "tuple[str, ...]")
    assert_type(cm.port, int)
    assert_type(cm.script_dial("busy", ring=1, to="+18005550100"), None)
    assert_type(cm.frames, "list[dict[str, Any]]")
    assert_type(cm.calls, "list[CallRecord]")
    assert_type(cm.wait_for_command("outbound", timeout=1, to="…"), "dict[str, Any]")
    cm.refuse("unauthorized", form="status")
    cm.delay(0.2)
    cm.duplicate()
    cm.reorder(seed=1)
    with cm.client(client_id="a", app_id="APPID", hooks=PrometheusHooks(), workers=1) as client:
        assert_type(client, Client)
        for call in client.calls():
            assert_type(cm.peer(call), FarEnd)
            assert_type(cm.peer(call.call_id), FarEnd)
