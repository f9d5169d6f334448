"""The records in the admin: to be found and read, and not to be changed."""

from __future__ import annotations

import re

import pytest
from django.core.management import call_command

from telephony.contrib.django.delivery import deliver
from telephony.contrib.django.models import CallRecord
from telephony.contrib.webhooks import parse_event
from tests.unit.contrib.django.test_records import BASE, STORY

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/telephony/callrecord/"


@pytest.fixture
def calls(account):
    """One that has ended, out; and one that rings, in."""
    for frame in STORY:
        deliver(parse_event({**BASE, **frame}), "webhook")
    other = {**BASE, "callid": "id-2", "direction": "inbound", "from": "+4930123", "channel": "x"}
    deliver(parse_event({**other, **STORY[1]}), "webhook")


@pytest.mark.parametrize("query, found", [
    ("", {"id-1", "id-2"}),
    ("?state__exact=hangup", {"id-1"}),
    ("?direction__exact=inbound", {"id-2"}),
    ("?stale__exact=1", set()),
    ("?q=930123", {"id-2"}),
    ("?q=%2B18005551234", {"id-1", "id-2"}),
    ("?q=id-1", {"id-1"}),
])  # fmt: skip
def test_the_list(calls, admin_client, query, found):
    """By state, by direction, by a part of a number."""
    page = admin_client.get(LIST + query).content.decode()
    assert found == {call_id for call_id in ("id-1", "id-2") if f">{call_id}<" in page}


def test_the_timeline(calls, admin_client):
    """One call with all its events, to read."""
    record = CallRecord.objects.get(call_id="id-1")
    page = admin_client.get(f"{LIST}{record.pk}/change/").content.decode()
    shown = re.sub("<details>.*?</details>", "", page, flags=re.DOTALL)
    positions = [shown.index(frame["event"]) for frame in STORY]
    assert sorted(positions) == positions
    assert [1] * 7 == [shown.count(frame["event"]) for frame in STORY]  # each row says it once
    assert "NORMAL_CLEARING" in page
    assert "2023-11-14 " in page  # with its seconds, in the project's time zone
    assert 'name="_save"' not in page


def test_a_call_that_may_have_ended(calls, admin_client):
    """It is said in words: the admin's tick would read as good."""
    record = CallRecord.objects.get(call_id="id-2")
    one = f"{LIST}{record.pk}/change/"
    for path in (LIST, one):
        page = admin_client.get(path).content.decode()
        assert "may have ended" not in page
    CallRecord.objects.filter(pk=record.pk).update(stale=True)
    for path in (LIST, one):
        page = admin_client.get(path).content.decode()
        assert 1 == page.count("may have ended")
        assert "icon-yes" not in page.split("Audio")[0]


def test_a_long_number(calls, admin_client):
    """It is cut in the list, where it would push the columns away, and whole on its own page."""
    number = "sip:" + "9" * 251
    CallRecord.objects.filter(call_id="id-2").update(from_number=number, to_number=number)
    page = admin_client.get(LIST).content.decode()
    assert 2 == page.count(f">{number[:31]}…<")
    assert number[:32] not in page
    record = CallRecord.objects.get(call_id="id-2")
    page = admin_client.get(f"{LIST}{record.pk}/change/").content.decode()
    assert 2 == page.count(f">{number}<")


def test_nobody_changes_it(calls, admin_client):
    """Not even a superuser."""
    record = CallRecord.objects.get(call_id="id-1")
    for path in (f"{LIST}add/", f"{LIST}{record.pk}/delete/"):
        assert 403 == admin_client.get(path).status_code
    answer = admin_client.post(f"{LIST}{record.pk}/change/", {"state": "ringing"})
    assert 403 == answer.status_code
    record.refresh_from_db()
    assert "hangup" == record.state


def test_the_migrations_are_those_of_the_models():
    """None is missing."""
    call_command("makemigrations", "telephony", check=True, dry_run=True)
