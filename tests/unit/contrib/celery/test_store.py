"""The scripts: who may write, and what happens once."""

from __future__ import annotations

import pytest

from telephony import NotConnectedError
from telephony.contrib.celery.settings import Settings
from telephony.contrib.celery.store import LineLost, Store, reached


@pytest.fixture
def kept(app):
    """A store with the line ``a`` taken under the token ``one``."""
    store = Store(Settings.of(app))
    assert store.take("a", "one", "w1", new=True) is not None
    return store


def test_a_line_is_held_by_one(kept):
    """It is to be had again when its lease is over, under another token."""
    assert kept.take("a", "two", "w2", new=False) is None
    assert [] == kept.lines_without_lease()
    kept.redis.delete(kept.key("lease", "a"))
    assert ["a"] == kept.lines_without_lease()
    assert kept.take("a", "two", "w2", new=False) is not None
    assert not kept.renew("a", "one", "w1")
    assert kept.renew("a", "two", "w2")
    assert "w2" == kept.holder("a")


def test_a_lease_that_ran_out_is_had_again(kept):
    """Redis was away for longer than the lease, and nobody else had the line."""
    kept.redis.delete(kept.key("lease", "a"))
    assert kept.renew("a", "one", "w1")
    assert [] == kept.lines_without_lease()


def test_a_line_that_was_handed_on_is_told_apart(kept):
    """It may be taken at once, and is not had again by who let go of it."""
    kept.begin("a", "one", "task", "x", {"to": "+1800"})
    assert kept.release("a", "one", always=True)
    assert ["a"] == kept.lines_without_lease(released=True)
    assert not kept.renew("a", "one", "w1")
    assert kept.take("a", "two", "w2", new=False) is not None
    kept.redis.delete(kept.key("lease", "a"))
    assert [] == kept.lines_without_lease(released=True)


def test_a_lease_is_not_had_again_after_another(kept):
    """The other took the line, and died too: what it did is not known here."""
    kept.redis.delete(kept.key("lease", "a"))
    assert kept.take("a", "two", "w2", new=False) is not None
    kept.redis.delete(kept.key("lease", "a"))
    assert not kept.renew("a", "one", "w1")


def test_a_forgotten_line_is_not_inherited(kept):
    """Between the look-out and the taking the line came to its end."""
    assert kept.release("a", "one", always=False)
    assert kept.take("a", "two", "w2", new=False) is None
    assert [] == kept.lines()


def test_a_line_with_something_left_is_not_forgotten(kept):
    """Calls, dials and events are each a reason to keep it."""
    kept.begin("a", "one", "task", "x", {"to": "+1800"})
    assert not kept.release("a", "one", always=False)
    assert kept.release("a", "one", always=True)
    assert ["a"] == kept.lines_without_lease()


def test_a_command_begins_once(kept):
    """Another execution of the task finds that; the same one, asked again, does not."""
    assert kept.begin("a", "one", "task", "first")
    assert kept.begin("a", "one", "task", "first")
    assert not kept.begin("a", "one", "task", "second")


def test_who_has_lost_the_lease_writes_nothing(kept):
    """Every script that writes for a line looks at its lease first."""
    work = [
        lambda: kept.begin("a", "two", "task", "x"),
        lambda: kept.end_intent("a", "two", "task"),
        lambda: kept.offer("a", "two", "call"),
        lambda: kept.record("a", "two", "call", {}),
        lambda: kept.published("a", "two", 1),
        lambda: kept.release("a", "two", always=True),
    ]
    before = sorted(kept.redis.keys())
    for one in work:
        with pytest.raises(LineLost):
            one()
    assert before == sorted(kept.redis.keys())


def test_an_event_is_kept_once(kept):
    """When Redis did it and the answer was lost, it is not done again."""
    for _ in range(2):
        kept.record("a", "one", "call", {"n": 1}, sequence=1, sent={"t": 1}, payload="{}")
    assert ["{}"] == kept.outbox("a", 10)
    record = kept.call("call")
    assert (1, {"t": 1}, False) == (record.sequence, record.sent, record.ended)


def test_a_call_ends_for_good(kept):
    """What is heard of it later changes its snapshot, and does not make it live again."""
    kept.record("a", "one", "call", {"n": 1}, sequence=1)
    kept.record("a", "one", "call", {"n": 2}, sequence=2, ended=True)
    assert set() == kept.call_ids("a")
    kept.record("a", "one", "call", {"n": 3})
    assert set() == kept.call_ids("a")
    assert ({"n": 2}, True) == (kept.call("call").snapshot, kept.call("call").ended)


def test_an_incoming_call_is_for_one_line(kept):
    """The first to ask has it, however often it asks."""
    kept.take("b", "two", "w2", new=True)
    assert kept.offer("a", "one", "call")
    assert kept.offer("a", "one", "call")
    assert not kept.offer("b", "two", "call")


def test_prefixes_do_not_see_each_other(kept, app):
    """Two apps on one Redis have their own lines and calls."""
    app.conf.telephony_prefix = "other"
    other = Store(Settings.of(app))
    kept.record("a", "one", "call", {"n": 1})
    assert ([], None) == (other.lines(), other.call("call"))


def test_without_redis(kept, redis_server):
    """What was not done is said, in an error of the library's that says nothing of the URL."""
    redis_server.connected = False
    with pytest.raises(NotConnectedError, match="nothing was read") as raised:
        reached("nothing was read", lambda: kept.call("call"))
    assert "fake" not in str(raised.value)
    redis_server.connected = True
