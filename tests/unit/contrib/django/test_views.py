"""What the gateway posts, through Django's own request handling."""

from __future__ import annotations

import io
import json

import pytest
from django.db import connection
from django.test import AsyncRequestFactory
from django.test import Client as Browser
from django.test.client import FakePayload

from telephony.contrib.django import get_client, records, views
from telephony.contrib.django.models import CallRecord
from telephony.contrib.django.signals import call_answered, call_hangup, call_incoming
from telephony.contrib.webhooks import Channel
from tests.conftest import DIAL
from tests.unit.contrib.django.conftest import SECRET
from tests.unit.contrib.django.test_records import BASE, STORY, broken

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS, LOOKUP = "/telephony/events/", "/telephony/lookup/"
ASKED = {"action": "lookup", "did": "+18005550001", "callerid": "+1555", "callid": "id-1"}


def post(path, body, secret=SECRET, **headers):
    """A request as the gateway makes it: without a cookie, and with CSRF checks on."""
    if secret is not None:
        headers["Authorization"] = secret
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    browser = Browser(enforce_csrf_checks=True)
    return browser.post(path, data, content_type="application/json", **headers)


def find(lookup):
    """The tests' own lookup."""
    if lookup.did.endswith("2"):
        return None
    if lookup.did.endswith("3"):
        raise ZeroDivisionError
    return Channel(token=DIAL["token"], uid="200", channel="support")


def test_an_event(account, heard):
    """It goes to the records and to the signals, once."""
    ended = heard(call_hangup)
    frame = {**BASE, **STORY[6]}
    assert 200 == post(EVENTS, frame).status_code
    assert "id-1" == ended.next().call.call_id
    assert "hangup" == CallRecord.objects.get().state
    again = post(EVENTS, frame)
    assert (200, True) == (again.status_code, again.json()["duplicate"])
    assert ended.empty()


def test_key_presses_and_their_deliveries(account):
    """Two equal ones are two, unless they are one delivery."""
    frame = {**BASE, **STORY[4]}
    for _ in range(2):
        assert 200 == post(EVENTS, frame).status_code
    for _ in range(2):
        assert 200 == post(EVENTS, frame, **{"X-Delivery-Id": "7"}).status_code
    assert 3 == CallRecord.objects.get().events.count()


@pytest.mark.parametrize("path", [EVENTS, LOOKUP])
def test_who_may_post(account, settings, path):
    """Whoever knows the secret; nobody, while there is none."""
    assert 405 == Browser().get(path).status_code
    for wrong in (None, "", "Bearer other", "Bearer \xe9"):
        assert 401 == post(path, ASKED, wrong).status_code
    assert 413 == post(path, "x" * 70_000).status_code
    for unreadable in (b"\xff", "[]", "{}"):
        assert 400 == post(path, unreadable).status_code
    settings.TELEPHONY = {**account, "WEBHOOK_SECRET": None}
    assert 403 == post(path, ASKED).status_code
    assert 0 == CallRecord.objects.count()


class Pieces(io.BytesIO):
    """A body of which no more than ten bytes are read at once."""

    def read(self, size=-1):
        return super().read(min(size, 10))


class BrokenOff(io.BytesIO):
    """A body whose sender has gone."""

    def read(self, size=-1):
        raise ConnectionResetError


def post_chunked(path, body, terminated=True):
    """A request without a Content-Length; *terminated*: as gunicorn and Werkzeug give it."""
    return Browser(enforce_csrf_checks=True).request(**{
        "REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_TYPE": "application/json",
        "HTTP_AUTHORIZATION": SECRET, "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input": body, **({"wsgi.input_terminated": True} if terminated else {}),
    })  # fmt: skip


def test_a_chunked_body(account, heard):
    """It is read where the server tells its end, and no further than need be."""
    ended = heard(call_hangup)
    body = json.dumps({**BASE, **STORY[6]}).encode()
    assert 200 == post_chunked(EVENTS, Pieces(body)).status_code
    assert "id-1" == ended.next().call.call_id
    large = io.BytesIO(b" " * 70_000)
    assert 413 == post_chunked(EVENTS, large).status_code
    assert (1 << 16) + 1 == large.tell()
    assert 404 == post_chunked(LOOKUP, io.BytesIO(json.dumps(ASKED).encode())).status_code
    assert 400 == post_chunked(EVENTS, BrokenOff()).status_code


@pytest.mark.parametrize("path", [EVENTS, LOOKUP])
def test_a_body_whose_end_is_not_told(account, path):
    """It is not taken for an empty one: a length is asked for."""
    refused = post_chunked(path, io.BytesIO(json.dumps(ASKED).encode()), terminated=False)
    assert (411, "a Content-Length is needed") == (refused.status_code, refused.json()["error"])


def test_a_request_that_is_complete(account):
    """ASGI servers have read the body before, and need no length."""
    factory = AsyncRequestFactory()
    request = factory.request(
        method="POST", path=EVENTS, headers=[(b"authorization", SECRET.encode())],
        _body_file=FakePayload(json.dumps({**BASE, **STORY[6]})),
    )  # fmt: skip
    assert "Content-Length" not in request.headers
    assert 200 == views.events(request).status_code


def test_a_lookup(account, settings):
    """The function of the setting answers."""
    assert 404 == post(LOOKUP, ASKED).status_code
    settings.TELEPHONY = {**account, "LOOKUP": f"{__name__}.find"}
    found = post(LOOKUP, ASKED)
    assert {"token": DIAL["token"], "uid": "200", "channel": "support"} == found.json()
    assert "no-store" == found["Cache-Control"]
    assert 404 == post(LOOKUP, {**ASKED, "did": "+18005550002"}).status_code
    assert 500 == post(LOOKUP, {**ASKED, "did": "+18005550003"}).status_code


def test_a_database_that_is_down(account, monkeypatch, heard):
    """The gateway is asked to post it again, and then it is taken."""
    ended = heard(call_hangup)
    with monkeypatch.context() as patch:
        patch.setattr(records, "_locked", broken)
        assert 500 == post(EVENTS, {**BASE, **STORY[6]}).status_code
    assert ended.empty()
    assert 200 == post(EVENTS, {**BASE, **STORY[6]}).status_code
    ended.next()


def test_with_atomic_requests(account, monkeypatch, heard):
    """A receiver that fails rolls nothing back, and others see the row when it is told."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    blocks = []
    heard(call_hangup, lambda event: blocks.append(connection.in_atomic_block))
    assert 200 == post(EVENTS, {**BASE, **STORY[6]}).status_code
    assert [False] == blocks
    assert "hangup" == CallRecord.objects.get().state


@pytest.mark.parametrize("inbound", [True, False])
def test_a_call_that_comes_in(account, settings, heard, inbound):
    """It is recorded; who answers it is told over the WebSocket, and not twice."""
    settings.TELEPHONY = {**account, "INBOUND": inbound}
    offered = heard(call_incoming)
    frame = {**BASE, "event": "call_incoming", "timestamp": 1, "direction": "inbound"}
    assert 200 == post(EVENTS, frame).status_code
    assert inbound is not offered.empty()
    assert "incoming" == CallRecord.objects.get().state


def test_commands_for_a_call_from_a_webhook(account, heard, cm):
    """They go through the process's client, which is connected for them."""
    answered = heard(call_answered, lambda event: event.call.send_dtmf("12"))
    assert 200 == post(EVENTS, {**BASE, **STORY[2]}).status_code
    answered.next()
    sent = cm.wait_for_command("send_dtmf")
    assert ("id-1", "12") == (sent["callid"], sent["digits"])


def test_the_clients_own_call(account, heard, cm):
    """Where the process's client tracks the call, the event has that one."""
    client = get_client()
    answered = heard(call_answered)
    call = client.dial(**DIAL)
    assert call is answered.next().call
    frame = {**BASE, **STORY[2], "callid": call.call_id, "timestamp": 1}
    assert 200 == post(EVENTS, frame).status_code
    assert call is answered.next().call
    call.hangup()
