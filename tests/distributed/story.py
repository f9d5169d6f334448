"""The issue's scenario, of any size, on any broker: a worker is killed in the middle of it all."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from telephony import CallIncoming, Client
from telephony.sandbox import Sandbox
from tests.distributed.servers import SECONDS
from tests.distributed.stage import Stage, dial, numbers, wait_for

#: what is published; not the calls that come in, which are the `Callees`'
EVENTS = (
    "call_answered", "agora_bridge_start", "dtmf_received", "agora_bridge_end", "call_hangup",
    "call_orphaned", "gap",
)  # fmt: skip

#: how long results are waited for of commands that nobody has begun, in seconds
PATIENCE = 5.0


def only(*events: str, task: str = "distributed.record") -> dict[str, str]:
    """The setting that has these events published, and no other."""
    return dict.fromkeys(events or EVENTS, task)


class Callees:
    """They pick up when the test tells them to: a dial to one of these numbers rings until then."""

    def __init__(self, cm: Sandbox, called: list[str]) -> None:
        self._client: Client = cm.client(client_id="callees", subscribe_numbers=called)
        self._changed = threading.Condition()
        self._ringing: list[Any] = []
        self._client.on(CallIncoming, self._ring)

    def _ring(self, event: CallIncoming) -> bool:
        with self._changed:
            self._ringing.append(event.call)
            self._changed.notify_all()
        return True

    def __enter__(self) -> Callees:
        self._client.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def wait_ringing(self, count: int) -> None:
        """Wait until so many phones ring."""
        with self._changed:
            there = self._changed.wait_for(lambda: len(self._ringing) >= count, SECONDS)
            assert there, f"{len(self._ringing)} phones ring, not {count}"

    def pick_up(self) -> None:
        """All that ring are answered."""
        with self._changed:
            ringing, self._ringing = self._ringing, []
        for number, call in enumerate(ringing):
            call.accept(channel="callees", uid=str(number + 1), token="rtc-token-callee")


def play(stage: Stage, *, calls: int, slow: int, workers: int, askers: int) -> None:
    """So many calls, of which *slow* ring when the first worker is killed with SIGKILL."""
    cm = stage.cm
    stage.settings["telephony_events"] = only()
    victim, *others = stage.workers(*(f"worker-{n}" for n in range(workers)), concurrency=calls)
    stage.events()
    asking = stage.askers(*(f"asker-{n}" for n in range(askers)))

    called = numbers(slow, area=777)
    with Callees(cm, called) as callees:
        wanted = numbers(calls - slow)
        first, second = wanted[: len(wanted) // 2], wanted[len(wanted) // 2 :]
        waves = [called + first, second]
        given: dict[str, dict[str, Any]] = {}
        shares: list[list[str]] = [[] for _ in asking]
        for wave in waves:
            for number, (asker, share) in enumerate(zip(asking, shares)):
                share += wave[number::askers]
                asker.ask("send", [dial(to) for to in wave[number::askers]])
            if wave is waves[0]:
                # Some calls are up, others ring at every worker, and more are asked for …
                callees.wait_ringing(slow)
                wait_for(lambda: len(up(stage)) >= len(first) // 2)
        # … of which some were begun.
        wait_for(lambda: len(stage.dialled()) >= len(waves[0]) + len(second) // 4)
        assert victim.line in {call.owner for call in stage.up()}
        ringing_at_victim = {
            call.to for call in cm.calls if call.owner == victim.line and call.to in called
        }
        victim.kill()
        killed = time.time() + 0.001
        # An heir is connected in its place.
        cm.wait_for_command("register", SECONDS, client_id=victim.line)
        callees.pick_up()
        _quiet(stage, killed)
        told = [asker.ask("collect", PATIENCE) for asker in asking]
        for share, results in zip(shares, told):
            given.update(zip(share, results()))

        _placed_once(stage, given, ringing_at_victim)
        placed = {number: each["result"] for number, each in given.items() if "result" in each}
        _orphans_are_hung_up(stage, placed)
        _controlled(stage, asking, placed, victim.name)
        _ended(stage, asking, placed)
        # What the callees were left with has ended, too.
        wait_for(lambda: all(call.ended for call in cm.calls))
    _told(stage, placed)


def _quiet(stage: Stage, killed: float) -> None:
    """Wait until all is begun that will be.

    A few commands are lost: what the victim had just begun to begin, and what it had taken from
    Redis, which gives it to others after the visibility timeout only, when it has expired.
    RabbitMQ has given it to others by now.
    """
    if stage.broker.startswith("redis"):
        connection: Any = stage.redis.connection
        wait_for(lambda: 0 == connection.llen("telephony"))
        wait_for(lambda: 0 == connection.zcount("unacked_index", killed, "+inf"))


def up(stage: Stage) -> list[Any]:
    """The dialled calls that are up."""
    return [call for call in stage.up() if "outbound" == call.direction]


def _placed_once(
    stage: Stage, given: dict[str, dict[str, Any]], ringing_at_victim: set[str]
) -> None:
    """No number was dialled twice, and who asked was told what came of it."""
    often = Counter(stage.dialled())
    assert [] == [number for number, times in often.items() if times != 1]
    for number, outcome in given.items():
        if "result" in outcome:
            assert 1 == often[number]
            assert number == outcome["result"]["to"]
        elif "TimeoutError" == outcome["error"]:
            assert 0 == often[number]
        else:
            # The worker died with it. It may have rung: it was not tried again.
            assert "ConnectionLostError" == outcome["error"], (number, outcome)
            assert outcome["ours"]
    failed = {number for number, outcome in given.items() if "error" in outcome}
    assert ringing_at_victim and ringing_at_victim <= failed
    assert len(failed) < len(given) / 2


def _orphans_are_hung_up(stage: Stage, placed: dict[str, Any]) -> None:
    """A call that nobody was given ends as soon as the Call Manager says a word of it."""
    known = {call["call_id"] for call in placed.values()}
    for call in up(stage):
        if call.call_id not in known and call.to[:5] != "+1777":
            # Answered while nobody was connected: the next event is the first one heard of it.
            stage.cm.peer(call.call_id).press("1")
    wait_for(
        lambda: {call.call_id for call in up(stage)} == known,
        lambda: [call for call in up(stage) if call.call_id not in known],
    )


def _controlled(stage: Stage, asking: list[Any], placed: dict[str, Any], dead: str) -> None:
    """Every call has an owner that lives, and does what another than its asker says."""
    wanted = {call["call_id"] for call in placed.values()}
    # The orphans' ends are heard of a moment later.
    wait_for(
        lambda: wanted == {call["call_id"] for call in asking[0].ask("active")()},
        lambda: [call for call in asking[0].ask("active")() if call["call_id"] not in wanted],
    )
    there = {call["call_id"]: call for call in asking[0].ask("active")()}
    for call in there.values():
        assert call["owner"], call
        assert dead not in str(call.get("holder")), call
    jobs = []
    for number, (to, call) in enumerate(placed.items()):
        asker = asking[(number + 1) % len(asking)]
        digits = f"{number}#"
        jobs.append((call["call_id"], digits, asker))
    for asker in asking:
        tasks = [
            ("send_dtmf", {"call_id": call_id, "digits": digits})
            for call_id, digits, who in jobs
            if who is asker
        ]
        assert [] == [each for each in asker.run(*tasks) if "error" in each]
    for call_id, digits, _ in jobs:
        stage.cm.peer(call_id).wait_heard(digits, SECONDS)


def _ended(stage: Stage, asking: list[Any], placed: dict[str, Any]) -> None:
    """Half are hung up by us, half by the far end: one who did not ask is told of all ends."""
    call_ids = [call["call_id"] for call in placed.values()]
    ours, theirs = call_ids[::2], call_ids[1::2]
    waits, *others = asking
    results = waits.ask("ended", call_ids)
    for call_id in theirs:
        stage.cm.peer(call_id).hang_up()
    for number, asker in enumerate(others):
        share = ours[number :: len(others)]
        hung_up = asker.run(*(("hangup", {"call_id": call_id}) for call_id in share))
        assert [] == [each for each in hung_up if "error" in each]
    assert {("hangup", "NORMAL_CLEARING")} == {tuple(each) for each in results()}
    for call_id in ours:
        stage.cm.assert_hung_up(call_id)
    # Nothing is left.
    for asker in asking:
        assert [] == asker.ask("active")()


def _told(stage: Stage, placed: dict[str, Any]) -> None:
    """The event tasks were told, in order, at least once, of everything up to the end."""
    wanted = {call["call_id"] for call in placed.values()}

    def hung_up() -> set[str]:
        return {one["call_id"] for one in stage.recorded() if "call_hangup" == one["event"]}

    wait_for(lambda: wanted <= hung_up(), lambda: f"no end was told of {wanted - hung_up()}")
    told = stage.recorded()
    in_order(told)
    gaps = {one["call_id"] for one in told if "gap" == one["event"]}
    inherited = {
        call.call_id for call in stage.cm.calls if call.owner and call.call_id in wanted & gaps
    }
    assert inherited and inherited == gaps & wanted


def in_order(told: list[dict[str, Any]]) -> None:
    """Each call's events have ascending numbers; one that came again was said before."""
    seen: dict[str, list[int]] = {}
    ids: dict[str, tuple[str, int]] = {}
    for one in told:
        if one["call_id"] is None or one["id"] in ids:
            assert one["id"] not in ids or ids[one["id"]] == (one["call_id"], one["sequence"])
            continue
        ids[one["id"]] = (one["call_id"], one["sequence"])
        seen.setdefault(one["call_id"], []).append(one["sequence"])
    for call_id, sequence in seen.items():
        assert sorted(set(sequence)) == sequence, (call_id, sequence)
