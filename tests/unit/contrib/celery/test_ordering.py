"""Events that are handled in order, one at a time, and once."""

from __future__ import annotations

import time

import pytest

from telephony.contrib.celery import in_order, ordering


@pytest.fixture
def handled(app, monkeypatch):
    """A task that notes what it handled; what goes back to the queue is in ``handled.again``."""
    class Handled(list):
        again = []
        fails = False

    found = Handled()
    found.again = []

    @app.task(name="shop.any", shared=False)
    @in_order
    def any_event(payload):
        found.append(payload["sequence"])
        if found.fails:
            raise ValueError("not today")

    def apply_async(args=None, kwargs=None, **options):
        found.again.append((args[0]["sequence"], options))

    found.task = app.tasks["shop.any"]
    monkeypatch.setattr(found.task, "apply_async", apply_async)
    return found


def event(sequence, after, call_id="call-1", name="dtmf_received"):
    return {
        "event": name, "call_id": call_id, "sequence": sequence, "after": {"shop.any": after},
        "id": f"{call_id}:{sequence}",
    }  # fmt: skip


def test_in_order(handled):
    """One after the other, though not all numbers are for this task."""
    for sequence, after in [(1, 0), (4, 1), (5, 4)]:
        assert "SUCCESS" == handled.task.apply([event(sequence, after)]).state
    assert ([1, 4, 5], []) == (handled, handled.again)


def test_a_copy_is_skipped(handled):
    """What was handled is not handled again."""
    for sequence, after in [(1, 0), (1, 0), (2, 1), (1, 0)]:
        handled.task.apply([event(sequence, after)])
    assert [1, 2] == handled


def test_an_early_one_goes_back(handled):
    """As the same task, for a moment, with the time since when it waits."""
    result = handled.task.apply([event(2, 1)], task_id="task-2")
    assert ("IGNORED", []) == (result.state, handled)
    ((sequence, options),) = handled.again
    assert (2, "task-2", ordering.AGAIN_SECONDS) == (
        sequence, options["task_id"], options["countdown"]
    )  # fmt: skip
    assert ordering._SINCE in options["headers"]
    handled.task.apply([event(1, 0)])
    handled.task.apply([event(2, 1)], headers=options["headers"])
    assert [1, 2] == handled


OVERDUE = {ordering._SINCE: 1.0}


def test_patience_has_an_end(handled):
    """What is missing for 30 s is done without; should it come after all, it is handled once."""
    handled.task.apply([event(3, 2)], headers=OVERDUE)
    assert [3] == handled
    for _ in range(2):
        handled.task.apply([event(2, 1)])
        handled.task.apply([event(3, 2)])
    handled.task.apply([event(4, 3)])
    assert [3, 2, 4] == handled


def test_those_that_wait_go_in_order(handled):
    """When the missing one is done without, the first of them is first."""
    for sequence, after in [(4, 3), (3, 2)]:
        handled.task.apply([event(sequence, after)])
    handled.task.apply([event(4, 3)], headers=OVERDUE)
    assert [] == handled
    handled.task.apply([event(3, 2)], headers=OVERDUE)
    handled.task.apply([event(4, 3)], headers=OVERDUE)
    assert [3, 4] == handled


def test_one_whose_worker_died_holds_up_no_other(handled, redis):
    """It went back to the queue and was not seen again."""
    redis.hset("telephony:order:shop.any:call-1", mapping={"w2": 1.0})
    handled.task.apply([event(3, 2)], headers=OVERDUE)
    assert [3] == handled


def test_a_handler_that_hangs_does_not_make_others_overdue(handled, redis):
    """They waited for it, and so none of them was missing: they go in order after it."""
    now = time.time()
    redis.hset("telephony:order:shop.any:call-1", mapping={"busy": "other", "until": now - 1})
    handled.task.apply([event(3, 2)], headers=OVERDUE)
    for sequence, after in [(1, 0), (2, 1), (3, 2)]:
        handled.task.apply([event(sequence, after)])
    assert [1, 2, 3] == handled


def test_calls_do_not_wait_for_each_other(handled):
    """The order is that of one call."""
    handled.task.apply([event(1, 0, "call-1")])
    handled.task.apply([event(1, 0, "call-2")])
    assert [1, 1] == handled


def test_one_at_a_time(handled, redis, app):
    """While an event of the call is being handled, the next goes back."""
    redis.hset("telephony:order:shop.any:call-1", mapping={"busy": "another", "until": 9e12})
    handled.task.apply([event(1, 0)])
    assert ([], 1) == (handled, len(handled.again))


def test_a_handler_that_never_returned_is_gone_without(handled, redis):
    """Its worker died: after the patience it counts as done with."""
    redis.hset("telephony:order:shop.any:call-1", mapping={"busy": "another", "until": 1.0})
    handled.task.apply([event(1, 0)])
    assert [1] == handled


def test_a_handler_that_fails_has_handled(handled):
    """The next one need not wait for it."""
    handled.fails = True
    handled.task.apply([event(1, 0)])
    handled.fails = False
    handled.task.apply([event(2, 1)])
    assert [1, 2] == handled


def test_a_handler_that_is_retried_has_not(handled, monkeypatch):
    """With autoretry_for it comes again, and is handled then."""
    monkeypatch.setattr(handled.task, "autoretry_for", (ValueError,), raising=False)
    handled.fails = True
    handled.task.apply([event(1, 0)])
    handled.fails = False
    handled.task.apply([event(1, 0)])
    assert [1, 1] == handled


def test_called_like_a_function():
    """In a test of one's own the handler is just called."""
    got = []
    in_order(got.append)({"event": "x"})
    assert [{"event": "x"}] == got


def test_an_order_is_remembered_for_long_enough(handled, redis):
    """For a day while the call is up, an hour after its end."""
    handled.task.apply([event(1, 0)])
    assert redis.ttl("telephony:order:shop.any:call-1") > ordering.ENDED_SECONDS
    handled.task.apply([event(2, 1, name="call_hangup")])
    assert redis.ttl("telephony:order:shop.any:call-1") <= ordering.ENDED_SECONDS
