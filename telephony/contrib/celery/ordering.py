"""For tasks that are told of events: one after the other, and each once."""

from __future__ import annotations

import functools
import logging
import secrets
import time
from typing import Any, Callable, TypeVar

from celery import current_task
from celery.exceptions import Ignore, Retry

from telephony.contrib.celery.shared import shared_of
from telephony.errors import InvalidArgumentError

R = TypeVar("R")

log = logging.getLogger("telephony")

#: An event that is missing is waited for so many seconds.
PATIENCE_SECONDS = 30.0
#: What was handled is remembered this long after.
REMEMBERED_SECONDS = 86400
#: … and once the call has ended, this long.
ENDED_SECONDS = 3600
#: An event that is not its turn is looked at again after this many seconds.
AGAIN_SECONDS = 0.2
_SINCE = "telephony_since"
_WORDS = {"without": "without one before it, which has not come", "late": "late"}

#: One that goes back to the queue is back within this, in seconds, unless its worker died.
BACK_SECONDS = 10.0

# The fields of an order: `last` (the highest number handled), `busy` and `until` (an execution, and
# how long it is waited for), `w5` (number 5 goes back to the queue, and when it did last), `g5`
# (5 was handled though something after the number that is kept there was missing), `h4` (4 came
# after that, and was handled).
# ARGV: 1 now, 2 sequence, 3 after, 4 execution, 5 patience, 6 since when it waits, 7 seconds to
# live, 8 how long a `w` counts
_ENTER = """
local now, sequence, since = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[6])
local fields, found = {}, redis.call('hgetall', KEYS[1])
for i = 1, #found, 2 do fields[found[i]] = found[i + 1] end
local last, busy_until = tonumber(fields['last'] or '0'), tonumber(fields['until'] or '0')

local function wait()
    redis.call('hset', KEYS[1], 'w' .. ARGV[2], ARGV[1])
    redis.call('expire', KEYS[1], ARGV[7])
    return 'wait'
end

local how = 'go'
if sequence <= last then
    how = 'handled'
    for name, value in pairs(fields) do
        local passed = string.match(name, '^g(%d+)$')
        if passed and sequence < tonumber(passed) and sequence > tonumber(value) then
            how = 'late'
        end
    end
    if how == 'handled' or fields['h' .. ARGV[2]] then return 'handled' end
end
if fields['busy'] and fields['busy'] ~= ARGV[4] and now < busy_until then return wait() end
if how == 'go' and tonumber(ARGV[3]) > last then
    if now - math.max(since, busy_until) < tonumber(ARGV[5]) then return wait() end
    for name, value in pairs(fields) do
        local other = string.match(name, '^w(%d+)$')
        if other and tonumber(other) < sequence and now - tonumber(value) < tonumber(ARGV[8]) then
            return wait()
        end
    end
    how = 'without'
    redis.call('hset', KEYS[1], 'g' .. ARGV[2], last)
end
redis.call('hdel', KEYS[1], 'w' .. ARGV[2])
redis.call('hset', KEYS[1], 'busy', ARGV[4], 'until', now + tonumber(ARGV[5]))
redis.call('expire', KEYS[1], ARGV[7])
return how
"""
# ARGV: 1 sequence ('' if it is to be handled again), 2 execution
_LEAVE = """
if ARGV[1] ~= '' then
    local last = tonumber(redis.call('hget', KEYS[1], 'last') or '0')
    if tonumber(ARGV[1]) > last then redis.call('hset', KEYS[1], 'last', ARGV[1])
    else redis.call('hset', KEYS[1], 'h' .. ARGV[1], '1') end
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
    seconds and then done without; should it come after all, it is handled then. A handler that has
    not returned after *patience* seconds is not waited for any longer. An event whose handler
    raises counts as handled, unless the task retries (``self.retry``,
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
        execution, ended = secrets.token_hex(8), payload["event"] == "call_hangup"
        answer = store.redis.eval(
            _ENTER, 1, key, time.time(), payload["sequence"], payload["after"][task.name],
            execution, patience, since, ENDED_SECONDS if ended else REMEMBERED_SECONDS,
            BACK_SECONDS,
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
        if answer != "go":
            log.warning("event %s is handled %s", payload["id"], _WORDS[answer])
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
