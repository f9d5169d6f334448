"""Who gets a caller, and when an agent is free again."""

import queue

from desk import routing
from desk.models import Agent, Assignment
from telephony.contrib.django.models import CallRecord
from telephony.contrib.django.signals import call_answered, call_hangup


def ring(desk, to="+18005550100"):
    return desk.incoming(to=to, from_="+15559876543")


def agent_of(caller):
    return Assignment.objects.get(call_id=caller.call_id).agent.name


def test_one_after_the_other(desk, told):
    """Each caller goes to another agent; whoever is busy or off duty gets none."""
    answered, ended = told(call_answered), told(call_hangup)
    first = ring(desk)
    answered()
    second = ring(desk)
    answered()
    assert desk.assert_sent("accept", call_id=first.call_id)["channel"] == "desk-ada"
    assert desk.assert_sent("accept", call_id=second.call_id)["channel"] == "desk-grace"
    third = ring(desk)
    assert third.wait_ended(timeout=30)
    desk.assert_sent("reject", call_id=third.call_id)

    second.hang_up()
    ended()
    fourth = ring(desk)
    answered()
    assert ["Ada", "Grace", "Grace"] == [agent_of(each) for each in (first, second, fourth)]
    assert 3 == CallRecord.objects.filter(direction="inbound", channel__startswith="desk-").count()


def test_a_number_of_ones_own(desk, told, agents):
    """Leads to that agent, or to nobody."""
    answered = told(call_answered)
    Agent.objects.filter(name="Grace").update(number="1 800 555-0199")
    assert ring(desk, "+18005550199").wait_accepted(timeout=30)
    answered()
    desk.assert_sent("accept", channel="desk-grace")
    assert ring(desk, "+18005550199").wait_ended(timeout=30)
    desk.assert_not_sent("accept", channel="desk-ada")


def test_a_caller_who_leaves_first(desk, monkeypatch):
    """Keeps nobody busy."""
    released = queue.Queue()
    release = routing.release
    monkeypatch.setattr(routing, "release", lambda call_id: released.put(release(call_id)))
    desk.delay(0.1, "accept")
    caller = ring(desk)
    desk.wait_for_command("accept", timeout=30)
    caller.hang_up()
    released.get(timeout=30)
    assert not Agent.objects.exclude(busy_with="").exists()


def test_an_agent_without_a_channel(desk, monkeypatch):
    """What cannot be answered is left to others, and its agent to the next caller."""
    released = queue.Queue()
    release = routing.release
    monkeypatch.setattr(routing, "release", lambda call_id: released.put(release(call_id)))
    Agent.objects.filter(name="Ada").update(channel="")
    ring(desk)
    released.get(timeout=30)
    assert not Agent.objects.exclude(busy_with="").exists()


def test_an_end_that_nobody_heard(desk, told, agents):
    """By its record the call is over: the agent is free."""
    Agent.objects.filter(on_duty=True).exclude(name="Ada").update(on_duty=False)
    Agent.objects.filter(name="Ada").update(busy_with="old-call")
    CallRecord.objects.create(call_id="old-call", state="hangup")
    answered = told(call_answered)
    caller = ring(desk)
    answered()
    assert "Ada" == agent_of(caller)
