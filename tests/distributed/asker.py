"""A process that asks for telephone calls, as a web application's would: it does jobs from Redis.

A job is JSON in the list ``jobs:NAME``: ``[id, what, arguments]``; its result goes into
``done:id``. NAME is the only argument of the program.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Callable

import attrs

from telephony import TelephonyError
from telephony.contrib.celery import SharedCalls
from tests.distributed.app import app, records

SECONDS = 60.0

calls = SharedCalls(app)


sent: list[Any] = []


def send(tasks: list[list[Any]]) -> None:
    """Send ``[name, keyword arguments]`` each, and wait for nothing."""
    for name, arguments in tasks:
        try:
            sent.append(app.tasks[f"telephony.{name}"].apply_async(kwargs=arguments))
        except Exception as error:
            sent.append(error)


def collect(patience: float) -> list[dict[str, Any]]:
    """Wait for all that was sent; the outcome of each. *patience* is for what nobody has begun."""
    outcomes = []
    for each in sent:
        begun = isinstance(each, Exception) or records.exists(f"telephony:cmd:{each.id}")
        outcomes.append(_outcome(each, SECONDS if begun else patience))
    sent.clear()
    return outcomes


def run(tasks: list[list[Any]]) -> list[dict[str, Any]]:
    """Both."""
    send(tasks)
    return collect(SECONDS)


def _outcome(sent: Any, seconds: float) -> dict[str, Any]:
    try:
        if isinstance(sent, Exception):
            raise sent
        return {"result": sent.get(timeout=seconds)}
    except Exception as error:
        ours = isinstance(error, TelephonyError)
        return {"error": type(error).__name__, "ours": ours, "message": str(error)}


def twice(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Send one task two times, as a broker may deliver it; its outcome."""
    task = app.tasks[f"telephony.{name}"]
    sent = task.apply_async(kwargs=arguments)
    task.apply_async(kwargs=arguments, task_id=sent.id)
    return _outcome(sent, SECONDS)


def again(name: str, payloads: list[dict[str, Any]]) -> int:
    """Have events handled once more; how many."""
    for payload in payloads:
        app.send_task(name, args=[payload], queue="events")
    return len(payloads)


def get(call_id: str) -> Any:
    """What `SharedCalls` has of a call."""
    return _plain(calls.get(call_id))


def active() -> list[Any]:
    """All that are active."""
    return [_plain(call) for call in calls.active()]


def ended(call_ids: list[str]) -> list[Any]:
    """Wait for each of them to end; a list of state and cause."""
    found = []
    for call_id in call_ids:
        try:
            info = calls.wait_ended(call_id, timeout=SECONDS)
            found.append([str(info.state), info.hangup_cause])
        except Exception as error:
            found.append([type(error).__name__, str(error)])
    return found


def _plain(call: Any) -> Any:
    if call is None:
        return None
    known = attrs.asdict(call, recurse=False)
    info = known.pop("info")
    return {**known, "call_id": info.call_id, "state": str(info.state), "to": info.to}


JOBS: dict[str, Callable[..., Any]] = {
    job.__name__: job for job in (send, collect, run, twice, again, get, active, ended)
}


def main(name: str) -> None:
    connection = records
    connection.rpush("ready", name)
    while True:
        job: Any = connection.blpop([f"jobs:{name}"])
        number, what, arguments = json.loads(job[1])
        result = JOBS[what](*arguments)
        connection.rpush(f"done:{number}", json.dumps(result, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
