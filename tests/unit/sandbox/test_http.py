"""The HTTP API: who is connected, and commands without a socket."""

from __future__ import annotations

import threading

import pytest

from tests.unit.sandbox.phone import DIAL, JOIN, PATIENCE, request


def pstn(cm, action, auth=None, **fields):
    """Give a command over HTTP."""
    body = {"action": action, **fields}
    return request(cm, "POST", "/v1/api/pstn", body, cm.auth_token if auth is None else auth)


def test_status(sandbox, phone):
    """Who is registered, for which App ID, with which DIDs, in digits."""
    cm = sandbox(app_ids=["app-a"])
    status = request(cm, "GET", "/v1/api/websocket-status")
    assert (200, {"client_count": 0, "clients": []}) == status
    phone(cm, "one", subscribe_numbers=["+1 800", "1800", "+1900"])
    phone(cm, "two", appid="MULTI").close()
    phone(cm, "three", register=False)
    one = {"client_id": "one", "appid": "app-a", "subscribed_numbers": ["1800", "1900"]}
    while request(cm, "GET", "/v1/api/websocket-status")[1]["client_count"] > 1:
        pass
    status = request(cm, "GET", "/v1/api/websocket-status")
    assert (200, {"client_count": 1, "clients": [one]}) == status


def test_a_call_over_http(cm):
    """A call can be placed, steered and ended without any client."""
    status, body = pstn(cm, "outbound", **DIAL, appid=cm.app_id)
    call_id = body["callid"]
    assert (200, {"success": True, "callid": call_id}) == (status, body)
    fields = {"callid": call_id, "appid": cm.app_id}
    assert (200, {"success": True}) == pstn(cm, "send_dtmf", **fields, digits="12")
    assert "12" == cm.peer(call_id).heard
    assert (200, {"success": True}) == pstn(cm, "bridge", **fields, **JOIN)
    assert 200 == pstn(cm, "transfer", callid=call_id, destination="+1", leg="bleg")[0]
    assert (200, {"success": True}) == pstn(cm, "endcall", **fields)
    assert None is cm.calls[0].owner
    assert (404, {"error": "callid not found"}) == pstn(cm, "endcall", **fields)


def test_unauthorized(sandbox):
    """No token, a wrong one, or one for another App ID: 401."""
    cm = sandbox(app_ids=["app-a", "app-b"], tokens={"app-b": "Basic b"})
    body = {"action": "outbound", **DIAL, "appid": "app-a"}
    for token in (None, "", "Basic wrong", "Basic b"):
        answer = request(cm, "POST", "/v1/api/pstn", body, token)
        assert (401, {"error": "unauthorized"}) == answer
    assert 401 == pstn(cm, "endcall", auth="Basic wrong", callid="x")[0]
    assert 401 == pstn(cm, "outbound", **DIAL, appid="app-c")[0]
    assert 401 == pstn(cm, "outbound", **DIAL, appid="MULTI")[0]
    call_id = pstn(cm, "outbound", **DIAL, appid="app-a")[1]["callid"]
    # Without an App ID it is the call's that counts.
    assert 404 == pstn(cm, "endcall", auth="Basic b", callid=call_id)[0]
    assert 200 == pstn(cm, "endcall", callid=call_id)[0]


def test_missing_parameters(cm):
    """What is missing is named, with a 500."""
    for body, error in [
        ({"action": "outbound"}, "to, channel, uid, from, token, region"),
        ({"action": "outbound", **DIAL}, "appid"),
        ({"action": "endcall"}, "callid"),
        ({}, "action"),
    ]:
        answer = request(cm, "POST", "/v1/api/pstn", body, cm.auth_token)
        assert (500, {"error": f"missing parameters: {error}"}) == answer


def test_no_resource(cm):
    """No gateway is a 503."""
    cm.script_dial("no_gateway")
    assert (503, {"success": False}) == pstn(cm, "outbound", **DIAL, appid=cm.app_id)


def test_busy(cm):
    """A call that is not answered says why."""
    cm.script_dial("busy")
    expected = (200, {"success": False, "reason": "Busy"})
    assert expected == pstn(cm, "outbound", **DIAL, appid=cm.app_id, prompt="beep")


def test_a_clients_call(cm, phone):
    """A client's call can be ended over HTTP; the client hears of it."""
    line = phone(cm)
    call_id = line.bridged_call()
    assert 200 == pstn(cm, "hangup", callid=call_id, appid=cm.app_id)[0]
    line.event("call_hangup", callid=call_id)


def test_an_inbound_call(cm, phone):
    """A held call can be taken, and turned away, over HTTP."""
    line = phone(cm)
    first, second = (cm.incoming(to="+1800", from_="+1555") for _ in range(2))
    assert 200 == pstn(cm, "accept", callid=first.call_id, **JOIN)[0]
    assert first.wait_accepted(PATIENCE)
    assert 404 == pstn(cm, "accept", callid=first.call_id, **JOIN)[0]
    assert 200 == pstn(cm, "reject", callid=second.call_id)[0]
    assert "CALL_REJECTED" == second.wait_ended(PATIENCE)
    assert ["call_incoming"] * 2 == [event["event"] for event in line.events_until_now()]


def test_what_is_no_json(cm):
    """A body that is no JSON object is a 400; subscribing needs a socket."""
    for body in ("{", "[]", "5", ""):
        assert 400 == request(cm, "POST", "/v1/api/pstn", body, cm.auth_token)[0]
    assert 400 == pstn(cm, "subscribe", numbers=[])[0]


def test_a_dial_over_http_waits(cm):
    """The answer to a dial comes when the callee answers, or when the sandbox stops."""
    cm.script_dial(ring=1e6)
    answers = []
    fields = {**DIAL, "appid": cm.app_id, "timeout": "2000000"}
    thread = threading.Thread(target=lambda: answers.append(pstn(cm, "outbound", **fields)))
    thread.start()
    while not cm.calls:
        pass
    assert [] == answers
    cm.stop()
    thread.join(PATIENCE)
    assert [(200, {"success": False, "reason": "SYSTEM_SHUTDOWN"})] == answers


@pytest.mark.parametrize("path", ["/", "/v1/api/other"])
def test_other_paths(cm, path):
    """Nothing else is served."""
    import urllib.error
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(cm.http_url + path, timeout=PATIENCE)
    assert 404 == caught.value.code
    caught.value.close()


def test_to_take_a_call_needs_its_token(sandbox, phone):
    """Who has no right to its App ID does not hear that there is such a call."""
    cm = sandbox(app_ids=["app-a", "app-b"], tokens={"app-b": "Basic b"})
    phone(cm)
    caller = cm.incoming(to="+1", from_="2")
    wrong = pstn(cm, "accept", auth="Basic b", callid=caller.call_id, **JOIN)
    assert (404, {"error": "callid not found"}) == wrong
    assert 200 == pstn(cm, "accept", callid=caller.call_id, **JOIN)[0]
    assert caller.accepted
