"""The same on RabbitMQ, with Redis for results and records."""

from __future__ import annotations

from pathlib import Path

from telephony.sandbox import Sandbox
from tests.distributed.servers import RabbitMQ, Redis
from tests.distributed.stage import Stage, dial, numbers, recorded, wait_for
from tests.distributed.story import only, play


def test_a_worker_is_killed(
    cm: Sandbox, redis: Redis, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    """40 calls from two processes, with two workers of which one is killed."""
    with Stage(cm, redis, tmp_path, broker=rabbitmq.url) as stage:
        play(stage, calls=40, slow=8, workers=2, askers=2)


def test_an_event_worker_is_killed(
    cm: Sandbox, redis: Redis, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    """With acks_late, what it had in hand comes again: every event is handled at least once."""
    with Stage(cm, redis, tmp_path, broker=rabbitmq.url) as stage:
        stage.settings.update(
            telephony_events=only(task="distributed.ordered"),
            # The node is the session's: what others left in its queues is not ours.
            telephony_queue="others",
            telephony_events_queue="events-of-others",
        )
        stage.workers("one", queue="others")
        victim, _ = stage.events("victim", "survivor", queue="events-of-others", concurrency=4)
        [asker] = stage.askers("asker")
        outcomes = asker.run(*(dial(number) for number in numbers(5)))
        ids = [outcome["result"]["call_id"] for outcome in outcomes]
        for digit in "01234":
            for call_id in ids:
                stage.cm.peer(call_id).press(digit)
        wait_for(lambda: any("victim@test" == one["worker"] for one in stage.recorded("ordered")))
        victim.kill()
        for digit in "56789":
            for call_id in ids:
                stage.cm.peer(call_id).press(digit)
        for call_id in ids:
            stage.cm.peer(call_id).hang_up()
        for call_id in ids:
            recorded(stage, "call_hangup", call_id, key="ordered")

        def pressed(call_id: str) -> set[str]:
            own = (one for one in stage.recorded("ordered") if call_id == one["call_id"])
            return {one["raw"]["digits"] for one in own if "dtmf_received" == one["event"]}

        wait_for(
            lambda: all(set("0123456789") == pressed(call_id) for call_id in ids),
            lambda: {call_id: sorted(pressed(call_id)) for call_id in ids},
        )
