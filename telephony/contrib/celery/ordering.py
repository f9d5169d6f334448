"""For tasks that are told of events: one after the other, and each once."""

from __future__ import annotations

import functools
import secrets
import time
from typing import Any, Callable, TypeVar

from celery import current_task
from celery.exceptions import Ignore, Retry

from telephony.contrib.celery.shared import shared_of
from telephony.errors import InvalidArgumentError

R = TypeVar("R")

#: An event that is missing is waited for so many seconds.
PATIENCE_SECONDS = 30.0
#: What was handled is remembered this long after.
REMEMBERED_SECONDS = 86400
#: … and once the call has ended, this long.
ENDED_SECONDS = 3600
#: An event that is not its turn is looked at again after this many seconds.
AGAIN_SECONDS = 0.2
_SINCE = "telephony_since"

# KEYS: 1 order; ARGV: 1 now, 2 sequence, 3 after, 4 execution, 5 patience, 6 overdue, 7 ttl
_ENTER = """
local last = tonumber(redis.call('hget', KEYS[1], 'last') or '0')
local sequence = tonumber(ARGV[2])
if sequence <= last then return 'handled' end
local busy = redis.call('hget', KEYS[1], 'busy')
local until_ = tonumber(redis.call('hget', KEYS[1], 'until') or '0')
if busy and busy ~= ARGV[4] and tonumber(ARGV[1]) < until_ then return 'wait' end
if tonumber(ARGV[3]) > last and ARGV[6] == '' then return 'wait' end
redis.call('hset', KEYS[1], 'busy', ARGV[4], 'until', tonumber(ARGV[1]) + tonumber(ARGV[5]))
redis.call('expire', KEYS[1], ARGV[7])
return 'go'
"""
# KEYS: 1 order; ARGV: 1 sequence ('' if it is to be handled again), 2 execution
_LEAVE = """
if ARGV[1] ~= '' and tonumber(ARGV[1]) > tonumber(redis.call('hget', KEYS[1], 'last') or '0') then
    redis.call('hset', KEYS[1], 'last', ARGV[1])
end
if redis.call('hget', KEYS[1], 'busy') == ARGV[2] then
    redis.call('hdel', KEYS[1], 'busy', 'until')
end
return 'ok'
"""


def in_order(
    handler: Callable[..., R] | None = None, *, patience: float = PATIENCE_SECONDS
) -> Any:
    """Let a task handle the events of each call in order, one at a time, and none twice.

    Below the task decorator::

        @app.task(name="shop.any")
        @in_order
        def any_event(payload): ...

    (The payload is the last positional argument, so ``bind=True`` works too.) An event that was
    handled is skipped; one that comes before an earlier one, or while another of its call is
    being handled, goes back to the queue for a moment. A missing one is waited for *patience*
    seconds and then done without, and so is a handler that has not returned by then. An event
    whose handler raises counts as handled, unless the task retries (``self.retry``,
    ``autoretry_for``). Needs Redis, like the events themselves.
    """
    if handler is None:
        return functools.partial(in_order, patience=patience)
    if not callable(handler):
        raise InvalidArgumentError(f"handler must be a function, not {handler!r}")

    @functools.wraps(handler)
    def ordered(*args: Any, **kwargs: Any) -> R | None:
        task, payload = current_task, args[-1] if args else None
        if not task or not isinstance(payload, dict) or task.name not in payload.get("after", {}):
            return handler(*args, **kwargs)  # called directly
        store = shared_of(task.app).store
        key = store.key("order", task.name, payload["call_id"])
        headers = task.request.headers or {}
        since = float(headers.get(_SINCE) or time.time())
        execution, overdue = secrets.token_hex(8), time.time() - since >= patience
        answer = store.redis.eval(
            _ENTER, 1, key, time.time(), payload["sequence"], payload["after"][task.name],
            execution, patience, "1" if overdue else "",
            ENDED_SECONDS if payload["event"] == "call_hangup" else REMEMBERED_SECONDS,
        )
        if answer == "handled":
            return None
        if answer == "wait":
            options = {
                **task.request.as_execution_options(),
                **_same_queue(task.request),
                "countdown": AGAIN_SECONDS,
                "headers": {**headers, _SINCE: since},
            }
            task.apply_async([payload], **options)
            raise Ignore
        done: Any = payload["sequence"]
        try:
            return handler(*args, **kwargs)
        except Retry:
            done = ""
            raise
        except Exception:
            if getattr(task, "autoretry_for", None):
                done = ""
            raise
        finally:
            store.redis.eval(_LEAVE, 1, key, done, execution)

    return ordered


def _same_queue(request: Any) -> dict[str, Any]:
    """Back to where it came from: an events_queue is not the task's own route."""
    info = request.delivery_info or {}
    routing_key = info.get("routing_key")
    if not routing_key:
        return {}
    if not info.get("exchange"):  # by the name of its queue, then
        return {"queue": routing_key}
    return {"exchange": info["exchange"], "routing_key": routing_key}
