"""The slots in which callers wait for the end of their command."""

from __future__ import annotations

import pytest

from telephony import CommandRefusedError
from telephony.runtime.pending import SPARE_MOST, Pending
from tests.scripted import Running

REFUSED = CommandRefusedError("no", action="x", reason="no")


def test_a_filled_slot_has_the_response():
    """Waiting returns at once, and the result can be had again."""
    pending = Pending()
    slot = pending.add("x_1")
    pending.fill("x_1", {"a": 1}, None)
    assert slot.wait(0)
    assert {"a": 1} == slot.result()
    assert {"a": 1} == slot.result()


def test_a_slot_filled_with_an_error_raises_it():
    """Also when the response is there too."""
    pending = Pending()
    slot = pending.add("x_1")
    pending.fill("x_1", {"error": "no"}, REFUSED)
    with pytest.raises(CommandRefusedError) as caught:
        slot.result()
    assert REFUSED is caught.value


def test_whoever_waits_is_woken():
    """From another thread."""
    pending = Pending()
    slot = pending.add("x_1")
    waiting = Running(slot.wait, 10)
    pending.fill("x_1", {}, None)
    assert waiting.result()


def test_an_empty_slot_is_not_filled():
    """A wait of 0 looks once."""
    assert not Pending().add("x_1").wait(0)


def test_each_slot_has_its_own_answer():
    """Whatever the order."""
    pending = Pending()
    slots = {name: pending.add(name) for name in ("x_1", "x_2", "x_3")}
    for name in ("x_3", "x_1", "x_2"):
        pending.fill(name, {"name": name}, None)
    assert list(slots) == [slot.result()["name"] for slot in slots.values()]


def test_an_answer_nobody_waits_for_is_nobodys():
    """For an id that was never there, was removed, or was filled before."""
    pending = Pending()
    pending.fill("x_1", {}, None)
    slot = pending.add("x_1")
    pending.remove("x_1")
    pending.fill("x_1", {}, None)
    assert not slot.wait(0)
    pending.remove("x_1")
    slot = pending.add("x_2")
    pending.fill("x_2", {"first": True}, None)
    pending.fill("x_2", {"first": False}, None)
    assert {"first": True} == slot.result()


def test_a_slot_that_was_put_back_is_as_new():
    """The next command gets it, and waits."""
    pending = Pending()
    slot = pending.add("x_1")
    pending.fill("x_1", {"a": 1}, REFUSED)
    pending.put_back(slot)
    again = pending.add("x_2")
    assert slot is again
    assert not again.wait(0)
    pending.fill("x_1", {"a": 1}, None)  # a second answer to the first
    assert not again.wait(0)
    pending.fill("x_2", {"b": 2}, None)
    assert {"b": 2} == again.result()


def test_slots_are_not_kept_without_end():
    """After a storm of commands only some stay."""
    pending = Pending()
    for slot in [pending.add(f"x_{i}") for i in range(SPARE_MOST + 5)]:
        pending.put_back(slot)
    assert SPARE_MOST == len({id(pending.add(f"y_{i}")) for i in range(SPARE_MOST)})
    assert [] == pending._spare
