"""The calls of all workers, read from any process."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from datetime import datetime, timezone
from typing import Any

import attrs

from telephony.contrib.celery.failures import not_found
from telephony.contrib.celery.settings import Settings
from telephony.contrib.celery.snapshot import info_of
from telephony.contrib.celery.store import Down, Record, Store, reached
from telephony.errors import InvalidArgumentError, WaitTimeoutError
from telephony.protocol.calls import CallInfo
from telephony.protocol.commands import checked_text, checked_wait
from telephony.runtime.deadline import Deadline

#: Should Redis's word that a call has ended get lost, this many seconds later it is looked up.
LOOK_SECONDS = 2.0
#: … and where Redis cannot be listened to, so many.
AGAIN_SECONDS = 0.2


@attrs.frozen(kw_only=True)
class SharedCall:
    """A call as it was last kept in Redis.

    ``info`` is its snapshot, ``owner`` the line that has it (None: it has ended), ``holder`` the
    name of the worker that holds that line (or held it last), ``updated_at`` when something was
    last heard of it.
    """

    info: CallInfo
    owner: str | None
    holder: str
    updated_at: datetime

    @property
    def call_id(self) -> str:
        """The Call Manager's id of it."""
        return self.info.call_id

    @property
    def ended(self) -> bool:
        """Whether its end is recorded."""
        return self.owner is None


class SharedCalls:
    """The calls of all workers of a Celery *app*, or of a Redis URL and a key prefix.

    Any process may read them; it needs Redis and no connection to the Call Manager. Every method
    blocks for Redis only, a few seconds at most, and raises ``NotConnectedError`` without it.
    """

    def __init__(
        self, app: Any = None, *, redis_url: str | None = None, prefix: str | None = None
    ) -> None:
        if (app is None) == (redis_url is None):
            raise InvalidArgumentError("app or redis_url is needed, and not both")
        if app is not None:
            if not hasattr(app, "conf"):
                raise InvalidArgumentError(f"app must be a Celery app, not {type(app).__name__}")
            self.settings = Settings.of(app)
        else:
            self.settings = Settings.of(_Conf(redis_url, prefix))
        self.store = Store(self.settings)

    def close(self) -> None:
        """Close the connections to Redis; they are made again when needed."""
        self.store.close()

    def get(self, call_id: str) -> SharedCall | None:
        """The call with this id, or None if none was known lately."""
        checked_text("call_id", call_id)
        record = reached("nothing was read", lambda: self.store.call(call_id))
        return None if record is None else self._shared(record, {})

    def active(self) -> list[SharedCall]:
        """The calls that are up, the oldest first."""
        return reached("nothing was read", self._active)  # type: ignore[no-any-return]

    def _active(self) -> list[SharedCall]:
        holders: dict[str, str] = {}
        found = [
            self._shared(record, holders)
            for line in self.store.lines()
            for record in self.store.calls(self.store.call_ids(line))
            if not record.ended
        ]
        return sorted(found, key=lambda call: call.info.created_at or call.updated_at)

    def wait_ended(self, call_id: str, timeout: float | None = None) -> CallInfo:
        """Block until the end of a call is recorded, at most *timeout* seconds; how it ended.

        Raises ``WaitTimeoutError``, or ``CallNotFoundError`` for a call that none is known of.
        """
        checked_text("call_id", call_id)
        deadline = Deadline(checked_wait("timeout", timeout))
        channel = self.store.key("ended", call_id)
        with self.store.redis.pubsub(ignore_subscribe_messages=True) as heard:
            known = False
            while True:
                with contextlib.suppress(*Down):
                    heard.subscribe(channel)  # before looking, so that nothing is missed between
                record = reached("nothing was read", lambda: self.store.call(call_id))
                if record is None and not known:
                    raise not_found("wait_ended", call_id, "no worker knows the call")
                known = True
                if record is not None and record.ended:
                    return info_of(record.snapshot)
                if deadline.expired:
                    raise WaitTimeoutError(f"call {call_id} did not end within {timeout} s")
                left = deadline.remaining()
                self._listen(heard, LOOK_SECONDS if left is None else min(LOOK_SECONDS, left))

    @staticmethod
    def _listen(heard: Any, seconds: float) -> None:
        """Return when something was heard, or after *seconds*."""
        until = Deadline(seconds)
        try:
            while not until.expired:
                if heard.get_message(timeout=until.remaining()) is not None:
                    return
        except (RuntimeError, *Down):  # not subscribed: all there is to do is to look again
            time.sleep(min(AGAIN_SECONDS, until.remaining() or 0.0))

    def _shared(self, record: Record, holders: dict[str, str]) -> SharedCall:
        if record.line not in holders:
            holders[record.line] = self.store.holder(record.line)
        return SharedCall(
            info=info_of(record.snapshot),
            owner=None if record.ended else record.line,
            holder=holders[record.line],
            updated_at=datetime.fromtimestamp(record.updated, timezone.utc),
        )


class _Conf:
    """Stands in for an app of which nothing but its Redis is known."""

    def __init__(self, redis_url: str | None, prefix: str | None) -> None:
        self.conf = {"telephony_redis_url": redis_url, "telephony_prefix": prefix}


_lock = threading.Lock()
_all: weakref.WeakKeyDictionary[Any, SharedCalls] = weakref.WeakKeyDictionary()


def shared_of(app: Any) -> SharedCalls:
    """The one that the tasks of *app* use in this process, made at the first call."""
    app = getattr(app, "_get_current_object", lambda: app)()
    found = _all.get(app)
    if found is None:
        with _lock:
            found = _all.get(app)
            if found is None:
                found = _all[app] = SharedCalls(app)
    return found


def forget(app: Any) -> None:
    """What was read of the configuration of *app* is out of date."""
    with _lock:
        found = _all.pop(app, None)
    if found is not None:
        found.close()
