"""What is kept in Redis, and the scripts that change it.

Everything a line writes is *fenced*: the script first looks whether the line's lease is still held
under the token of whoever writes, so that a worker that was stopped for too long changes nothing.
The keys, each behind the prefix:

=================  =====  ======================================================================
``lines``          set    the lines there are: held, or to be taken over
``line:LINE``      hash   ``token`` of its last holder, ``holder`` (its name), ``seen`` (s),
                          ``released`` once it is handed on
``lease:LINE``     text   the token of its holder, for ``telephony_lease`` seconds
``calls:LINE``     set    ids of the calls that are up on it
``intents:LINE``   hash   dials under way or given up: task id → JSON
``outbox:LINE``    list   events to be published, JSON, the oldest first
``call:ID``        hash   ``info`` (JSON), ``line``, ``seq`` (of the last event), ``sent`` (JSON: of
                          the last event each task was told), ``updated`` (s), ``dialled``,
                          ``ended``
``offer:ID``       text   the line that took an incoming call
``cmd:TASK``       text   the command was begun, by this execution; for a day
``order:TASK:ID``  hash   what ``in_order`` has handled
``ended:ID``              (a pub/sub channel) the call has ended
=================  =====  ======================================================================
"""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Iterable

import attrs
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from telephony.contrib.celery.settings import Settings
from telephony.contrib.celery.snapshot import Snapshot
from telephony.errors import NotConnectedError

#: What the network to Redis may do; a script that Redis itself refuses is a fault of ours.
Down = (redis.ConnectionError, redis.TimeoutError, redis.exceptions.ResponseError, OSError)

#: A command that was begun is remembered this long, in seconds.
COMMANDS_SECONDS = 86400
#: An incoming call is offered for less than this.
OFFER_SECONDS = 3600

_FENCE = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 'lost' end\n"

_TAKE = """
if redis.call('get', KEYS[1]) then return false end
if ARGV[4] == '' and redis.call('sismember', KEYS[3], ARGV[5]) == 0 then return false end
local seen = redis.call('hget', KEYS[2], 'seen') or ARGV[6]
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
redis.call('hset', KEYS[2], 'token', ARGV[1], 'holder', ARGV[3], 'seen', ARGV[6])
redis.call('hdel', KEYS[2], 'released')
redis.call('sadd', KEYS[3], ARGV[5])
return seen
"""

# A lease that ran out while Redis was away is had again, if nobody else had the line meanwhile.
_RENEW = """
local token = redis.call('get', KEYS[1])
if token and token ~= ARGV[1] then return 0 end
if not token then
    local last = redis.call('hget', KEYS[2], 'token')
    if last and last ~= ARGV[1] then return 0 end
    if redis.call('hexists', KEYS[2], 'released') == 1 then return 0 end
end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
redis.call('hset', KEYS[2], 'token', ARGV[1], 'holder', ARGV[3], 'seen', ARGV[4])
redis.call('sadd', KEYS[3], ARGV[5])
return 1
"""

_RELEASE = _FENCE + """
if redis.call('exists', KEYS[4], KEYS[5], KEYS[6]) == 0 then
    redis.call('srem', KEYS[3], ARGV[2])
    redis.call('del', KEYS[1], KEYS[2])
    return 'forgotten'
end
if ARGV[3] == '' then return 'busy' end
redis.call('hset', KEYS[2], 'released', '1')
redis.call('del', KEYS[1])
return 'released'
"""

_BEGIN = _FENCE + """
local had = redis.call('get', KEYS[2])
if had and had ~= ARGV[2] then return 'seen' end
redis.call('set', KEYS[2], ARGV[2], 'ex', ARGV[3])
if ARGV[4] ~= '' then redis.call('hset', KEYS[3], ARGV[5], ARGV[4]) end
return 'ok'
"""

_INTENT = _FENCE + """
if ARGV[3] == '' then redis.call('hdel', KEYS[2], ARGV[2])
elseif redis.call('hexists', KEYS[2], ARGV[2]) == 1 then
    redis.call('hset', KEYS[2], ARGV[2], ARGV[3])
end
return 'ok'
"""

_OFFER = _FENCE + """
local had = redis.call('get', KEYS[2])
if had and had ~= ARGV[2] then return 'taken' end
redis.call('set', KEYS[2], ARGV[2], 'ex', ARGV[3])
return 'ok'
"""

# ARGV: 1 token, 2 call id, 3 line, 4 now, 5 sequence (0: no event), 6 info, 7 sent, 8 ended,
# 9 seconds to live, 10 payload, 11 task id of the dial, 12 channel
_RECORD = _FENCE + """
local sequence = tonumber(ARGV[5])
if sequence > 0 then
    if sequence <= tonumber(redis.call('hget', KEYS[2], 'seq') or '0') then return 'seen' end
    redis.call('hset', KEYS[2], 'seq', ARGV[5], 'sent', ARGV[7], 'info', ARGV[6])
elseif ARGV[8] ~= '' then
    redis.call('hset', KEYS[2], 'info', ARGV[6])
else
    redis.call('hsetnx', KEYS[2], 'info', ARGV[6])
end
redis.call('hset', KEYS[2], 'line', ARGV[3], 'updated', ARGV[4])
if ARGV[11] ~= '' then
    redis.call('hset', KEYS[2], 'dialled', ARGV[11])
    redis.call('hdel', KEYS[4], ARGV[11])
end
if ARGV[8] ~= '' then redis.call('hset', KEYS[2], 'ended', '1') end
local ended = redis.call('hexists', KEYS[2], 'ended') == 1
if ended then redis.call('srem', KEYS[3], ARGV[2])
else redis.call('sadd', KEYS[3], ARGV[2]) end
if ARGV[8] ~= '' or not ended then redis.call('expire', KEYS[2], ARGV[9]) end
if ARGV[10] ~= '' then redis.call('rpush', KEYS[5], ARGV[10]) end
if ARGV[8] ~= '' then redis.call('publish', ARGV[12], '1') end
return 'ok'
"""

_PUBLISHED = _FENCE + """
redis.call('ltrim', KEYS[2], ARGV[2], -1)
return 'ok'
"""


class LineLost(Exception):
    """The line is another worker's by now, or may be."""


@attrs.frozen(kw_only=True)
class Record:
    """What is kept of a call."""

    call_id: str
    snapshot: Snapshot
    line: str
    sequence: int
    sent: dict[str, int]
    updated: float
    dialled: str
    ended: bool


def connect(url: str, seconds: float) -> Any:
    """A client for the Redis at *url*, none of whose commands takes longer than *seconds*."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        # Once again over a new connection: one from the pool may be of a server that is gone.
        # Every script may run twice.
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[redis.ConnectionError],
    )


class Store:
    """The keys of one prefix on one Redis. Every method raises one of ``Down`` if that is away."""

    def __init__(self, settings: Settings) -> None:
        self.prefix = settings.prefix
        self._lease = int(settings.lease * 1000)
        self._keep_active = int(settings.keep_active) or 1
        self._keep_ended = int(settings.keep_ended) or 1
        self.redis: Any = connect(settings.redis_url, min(5.0, settings.lease / 3))
        script = self.redis.register_script
        self._take, self._renew, self._release = map(script, (_TAKE, _RENEW, _RELEASE))
        self._begin, self._intent, self._offer = map(script, (_BEGIN, _INTENT, _OFFER))
        self._record, self._published = map(script, (_RECORD, _PUBLISHED))

    def key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    def close(self) -> None:
        self.redis.close()
        self.redis.connection_pool.disconnect()

    # --- lines -------------------------------------------------------------------------------

    def _line_keys(self, line: str) -> list[str]:
        return [self.key("lease", line), self.key("line", line), self.key("lines")]

    def take(self, line: str, token: str, holder: str, *, new: bool) -> float | None:
        """Hold *line* from now on; when it was last seen, or None if it is held or forgotten."""
        arguments = [token, self._lease, holder, "1" if new else "", line, time.time()]
        seen = self._take(keys=self._line_keys(line), args=arguments)
        return None if seen is None else float(seen)

    def renew(self, line: str, token: str, holder: str) -> bool:
        """Hold *line* for another while; false if it is another's."""
        arguments = [token, self._lease, holder, time.time(), line]
        return bool(self._renew(keys=self._line_keys(line), args=arguments))

    def release(self, line: str, token: str, *, always: bool) -> bool:
        """Let go of *line* and forget it if nothing is left of it; with *always* in any case.

        Whether it was let go of.
        """
        left = [self.key(name, line) for name in ("calls", "intents", "outbox")]
        keys, arguments = [*self._line_keys(line), *left], [token, line, "1" if always else ""]
        return self._checked(self._release(keys=keys, args=arguments)) != "busy"

    def lines_without_lease(self, *, released: bool = False) -> list[str]:
        """The lines that nobody holds; with *released* only those that were handed on."""
        lines = sorted(self.redis.smembers(self.key("lines")))
        if not lines:
            return []
        leases = self.redis.mget([self.key("lease", line) for line in lines])
        free = [line for line, lease in zip(lines, leases) if lease is None]
        if released:
            free = [name for name in free if self.redis.hexists(self.key("line", name), "released")]
        return free

    def holder(self, line: str) -> str:
        """The worker that holds *line*, or held it last."""
        return self.redis.hget(self.key("line", line), "holder") or ""

    # --- commands ------------------------------------------------------------------------------

    def begin(
        self, line: str, token: str, task_id: str, execution: str, intent: Snapshot | None = None
    ) -> bool:
        """Note that the command of *task_id* is about to be sent; false if it was before.

        *intent* is what is kept of a dial until it has a call. Raises ``LineLost``.
        """
        answer = self._begin(
            keys=[self.key("lease", line), self.key("cmd", task_id), self.key("intents", line)],
            args=[
                token,
                execution,
                COMMANDS_SECONDS,
                "" if intent is None else json.dumps(intent),
                task_id,
            ],
        )
        return self._checked(answer) == "ok"

    def end_intent(
        self, line: str, token: str, task_id: str, given_up: Snapshot | None = None
    ) -> None:
        """The dial has no call; or it may have one: it was *given_up*."""
        keys = [self.key("lease", line), self.key("intents", line)]
        kept = "" if given_up is None else json.dumps(given_up)
        self._checked(self._intent(keys=keys, args=[token, task_id, kept]))

    def intents(self, line: str) -> dict[str, Snapshot]:
        found = self.redis.hgetall(self.key("intents", line))
        return {task_id: json.loads(text) for task_id, text in found.items()}

    def offer(self, line: str, token: str, call_id: str) -> bool:
        """Whether the incoming call is *line*'s: the first to ask has it. Raises ``LineLost``."""
        keys = [self.key("lease", line), self.key("offer", call_id)]
        return self._checked(self._offer(keys=keys, args=[token, line, OFFER_SECONDS])) == "ok"

    # --- calls ---------------------------------------------------------------------------------

    def record(
        self,
        line: str,
        token: str,
        call_id: str,
        snapshot: Snapshot,
        *,
        sequence: int = 0,
        sent: dict[str, int] | None = None,
        ended: bool = False,
        payload: str = "",
        dialled: str = "",
    ) -> None:
        """Keep the call's snapshot, and what is to be published with it. Raises ``LineLost``.

        Without a *sequence* it is no event: what is known of the call already is left alone,
        unless it has *ended*.
        """
        answer = self._record(
            keys=[
                self.key("lease", line),
                self.key("call", call_id),
                self.key("calls", line),
                self.key("intents", line),
                self.key("outbox", line),
            ],
            args=[
                token,
                call_id,
                line,
                time.time(),
                sequence,
                json.dumps(snapshot),
                json.dumps(sent or {}),
                "1" if ended else "",
                self._keep_ended if ended else self._keep_active,
                payload,
                dialled,
                self.key("ended", call_id),
            ],
        )
        self._checked(answer)

    def call(self, call_id: str) -> Record | None:
        return self._read(call_id, self.redis.hgetall(self.key("call", call_id)))

    def calls(self, call_ids: Iterable[str]) -> list[Record]:
        """Those of the calls that there are."""
        ids = list(call_ids)
        pipeline = self.redis.pipeline(transaction=False)
        for call_id in ids:
            pipeline.hgetall(self.key("call", call_id))
        found = (self._read(call_id, fields) for call_id, fields in zip(ids, pipeline.execute()))
        return [record for record in found if record is not None]

    def lines(self) -> list[str]:
        return sorted(self.redis.smembers(self.key("lines")))

    def call_ids(self, line: str) -> set[str]:
        """The ids of the calls that are up on *line*."""
        return set(self.redis.smembers(self.key("calls", line)))

    def keep(self, call_ids: Iterable[str]) -> None:
        """The calls are still up: they are kept as long again."""
        pipeline = self.redis.pipeline(transaction=False)
        for call_id in call_ids:
            pipeline.expire(self.key("call", call_id), self._keep_active)
        pipeline.execute()

    @staticmethod
    def _read(call_id: str, fields: dict[str, str]) -> Record | None:
        if "info" not in fields:
            return None
        return Record(
            call_id=call_id,
            snapshot=json.loads(fields["info"]),
            line=fields.get("line", ""),
            sequence=int(fields.get("seq", 0)),
            sent=json.loads(fields.get("sent") or "{}"),
            updated=float(fields.get("updated", 0)),
            dialled=fields.get("dialled", ""),
            ended="ended" in fields,
        )

    # --- the outbox ------------------------------------------------------------------------------

    def outbox(self, line: str, most: int) -> list[str]:
        """The oldest events that are to be published."""
        return list(self.redis.lrange(self.key("outbox", line), 0, most - 1))

    def published(self, line: str, token: str, count: int) -> None:
        """The oldest *count* were taken by the broker. Raises ``LineLost``."""
        keys = [self.key("lease", line), self.key("outbox", line)]
        self._checked(self._published(keys=keys, args=[token, count]))

    @staticmethod
    def _checked(answer: str) -> str:
        if answer == "lost":
            raise LineLost
        return answer


def reached(what: str, work: Callable[[], Any]) -> Any:
    """What *work* returns; without Redis a ``NotConnectedError`` that says *what* was not done."""
    try:
        return work()
    except Down as error:
        raise NotConnectedError(
            f"Redis cannot be reached ({type(error).__name__}): {what}; try again when it can"
        ) from None
