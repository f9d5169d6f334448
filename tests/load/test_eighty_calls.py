"""80 calls over one MULTI client with two App IDs, each with an inbound leg of its own."""

from __future__ import annotations

import threading

import pytest

from telephony import CallIncoming
from telephony.sandbox import Sandbox
from tests.conftest import DIAL
from tests.load.story import SECONDS, Stories, each, nothing_left

CALLS = 80
PAIRS = 10
DIDS = {"app-a": "+18005550001", "app-b": "+18005550002"}


class Plan:
    """One call as it is to be: who dials, where its two legs join, what each of them sends."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.app_id = ("app-a", "app-b")[number % 2]
        # Two neighbours of a pair are of different App IDs and share their routes.
        place = number // 2 if number < 2 * PAIRS else number
        self.outer = (f"out-{place}", "1")
        self.inner = (f"in-{place}", "2")
        self.from_ = f"+1555{number:07d}"
        self.sends = f"1{number:03d}#"
        self.answers = f"2{number:03d}*"


@pytest.fixture
def cm():
    """Both App IDs have a DID that loops back."""
    with Sandbox(time_scale=20, dids=DIDS, lookup_hold=600, cm_hold=600) as sandbox:
        yield sandbox


@pytest.mark.parametrize("disturbed", [False, True], ids=["calm", "every event twice"])
def test_eighty_calls(cm, disturbed):
    """Every leg of every call has each of its events once, its own digits, nobody else's."""
    plans = {plan.from_: plan for plan in map(Plan, range(CALLS))}
    assert CALLS - PAIRS == len({plan.outer for plan in plans.values()})
    client = cm.client(app_id="MULTI", dial_timeout=SECONDS, command_timeout=SECONDS)
    inner, all_accepted = {}, threading.Semaphore(0)
    stories = Stories(client)

    @client.on(CallIncoming)
    def answer(event):
        plan = plans[event.info.from_]
        assert plan.app_id == event.info.app_id
        channel, uid = plan.inner
        event.call.accept(token=f"token-in-{plan.number}", channel=channel, uid=uid)
        inner[plan] = event.call
        all_accepted.release()

    def dial(plan):
        channel, uid = plan.outer
        return client.dial(
            to=DIDS[plan.app_id], from_=plan.from_, channel=channel, uid=uid, app_id=plan.app_id,
            token=f"token-out-{plan.number}", region=DIAL["region"],
        )  # fmt: skip

    if disturbed:
        cm.duplicate()
    with client:
        outer = dict(zip(plans.values(), each(plans.values(), dial, CALLS)))
        for _ in plans:
            assert all_accepted.acquire(timeout=SECONDS)
        assert 2 * CALLS == len(client.calls()) == len({*outer.values(), *inner.values()})
        for plan in plans.values():
            for call, place in ((outer[plan], plan.outer), (inner[plan], plan.inner)):
                info = call.wait_bridged(SECONDS)
                assert (*place, plan.app_id) == (info.channel, info.uid, info.app_id)
                assert (plan.from_, DIDS[plan.app_id]) == (info.from_, info.to)

        if not disturbed:  # digits told twice are two key presses
            talk(plans, outer, inner)
        hang_up(plans, outer, inner)
        nothing_left(client)
        client.close(drain=SECONDS)

    assert [] == stories.strays
    assert set(stories.calls) == {*outer.values(), *inner.values()}
    digits = not disturbed
    for plan in plans.values():
        out, back = plan.sends, plan.answers
        check(
            stories, outer[plan],
            ["call_initiated", "call_ringing", "call_answered", "agora_bridge_start",
             *([f"echo {out}", f"heard {back}"] if digits else []),
             "agora_bridge_end", "call_hangup"],
        )  # fmt: skip
        check(
            stories, inner[plan],
            ["call_incoming", "call_answered", "agora_bridge_start",
             *([f"heard {out}", f"echo {back}"] if digits else []),
             "agora_bridge_end", "call_hangup"],
        )  # fmt: skip
    assert all(record.ended for record in cm.calls) and 2 * CALLS == len(cm.calls)


def talk(plans, outer, inner):
    """Digits both ways: out first, and back when they were heard."""

    def both_ways(plan):
        outer[plan].send_dtmf(plan.sends)
        heard = inner[plan].collect_digits(max_digits=len(plan.sends), terminator=None,
                                           timeout=SECONDS)  # fmt: skip
        inner[plan].send_dtmf(plan.answers)
        back = outer[plan].collect_digits(max_digits=len(plan.answers), terminator=None,
                                          timeout=SECONDS)  # fmt: skip
        return heard, back

    expected = [(plan.sends, plan.answers) for plan in plans.values()]
    assert expected == each(plans.values(), both_ways, 16)


def hang_up(plans, outer, inner):
    """Half of them from the one side, half from the other; both legs end."""

    def end(plan):
        legs = (outer[plan], inner[plan])
        legs[plan.number // 2 % 2].hangup()
        return [leg.wait_ended(SECONDS).hangup_cause for leg in legs]

    assert [["NORMAL_CLEARING"] * 2] * CALLS == each(plans.values(), end, 16)


def check(stories, call, expected):
    """Each event once, in its order, and none that names another call."""
    assert expected == stories.names(call), call
    assert {call.call_id} >= {e.raw.get("callid") for e in stories.of(call)} - {""}
