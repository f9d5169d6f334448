"""A Redis in this process, a Celery app whose broker is in memory, and lines on a sandbox."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time

import fakeredis
import pytest
from celery import Celery, _state

from telephony.contrib.celery import shared, store, tasks
from telephony.contrib.celery.line import Line
from telephony.contrib.celery.settings import Settings
from tests.canary import RTC_TOKEN

SECONDS = 30.0
_numbers = itertools.count()
#: A dial without its trunk: the numbers of a test tell its calls apart.
DIAL = {
    "to": "+18005551234",
    "from_": "+15551234567",
    "channel": "room",
    "uid": "100",
    "token": RTC_TOKEN,
    "region": "AREA_CODE_NA",
}


def until(condition, what="it", seconds=SECONDS):
    """What *condition* returns once that is true; looked at again and again."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"{what} did not come about"
        pause.wait(0.005)


@pytest.fixture(autouse=True)
def no_account(monkeypatch):
    """The machine's environment has no account in it."""
    for name in ("CM_HOST", "AUTH_TOKEN", "APPID", "CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def redis_server(monkeypatch):
    """A Redis in this process; ``connected = False`` takes it away."""
    server = fakeredis.FakeServer()

    def connect(url, seconds):
        return fakeredis.FakeRedis(server=server, decode_responses=True)

    monkeypatch.setattr(store, "connect", connect)
    return server


@pytest.fixture
def redis(redis_server):
    """A client of that Redis, to look at what is kept."""
    return fakeredis.FakeRedis(server=redis_server, decode_responses=True)


class Published(Celery):
    """A Celery app that notes what is sent by name, or refuses it while ``away``."""

    def send_task(self, name, args=None, kwargs=None, **options):
        if options.get("task_type") is not None:
            return super().send_task(name, args, kwargs, **options)
        if self.away:
            raise OSError("no broker")
        self.published.append((name, args[0], options))
        return None


@pytest.fixture
def app(redis_server, cm, monkeypatch):
    """A configured Celery app; what it publishes is in ``app.published``."""
    monkeypatch.setattr(_state, "default_app", None)
    monkeypatch.setattr(_state._tls, "current_app", None)
    number = next(_numbers)
    celery = Published(f"shop{number}", broker="memory://", backend="cache+memory://")
    celery.published, celery.away = [], False
    celery.conf.update(
        telephony_host=cm.url,
        telephony_auth_token=cm.auth_token,
        telephony_app_id=cm.app_id,
        telephony_redis_url="redis://fake",
        telephony_queue=f"telephony{number}",
        telephony_lease=3,
        telephony_events={"*": "shop.any"},
        worker_enable_remote_control=False,
    )
    celery.set_current()
    yield celery
    shared.forget(celery)
    celery.close()


def payloads(app, call_id=None):
    """What tasks were told, of one call or of all."""
    found = [payload for _, payload, _ in app.published]
    return [one for one in found if call_id in (None, one["call_id"])]


def names(app, call_id=None):
    """The names of the events that were told."""
    return [payload["event"] for payload in payloads(app, call_id)]


class Board:
    """Stands in for the worker: the lines that a test has opened, as the tasks find them."""

    def __init__(self, app):
        self.app = app
        self.settings = Settings.of(app)
        self.store = store.Store(self.settings)
        self.lines = {}
        self.all = []
        self.gone = []
        self.own = None

    def open(self, name=None, *, inherited=False, settings=None):
        """Take a line and connect it."""
        name = name or f"line-{next(_numbers)}"
        line = Line(
            self.app, settings or self.settings, self.store, name, "worker@test",
            inherited=inherited, gone=self.gone.append,
        )  # fmt: skip
        assert line.take()
        self.all.append(line)
        self.lines[name] = line
        self.own = self.own or line
        line.open(1)
        return line

    def line(self, name):
        return self.lines.get(name)

    def own_line(self):
        return self.own

    def kill(self, line):
        """Let *line* end as with its process: nothing is said, and its lease runs out."""
        assert line._end()
        line._journal._over.set()
        line._journal.stop(0)
        line._close_client()
        self.lines.pop(line.name, None)
        self.store.redis.delete(self.store.key("lease", line.name))

    def close(self):
        for line in self.all:
            line.hand_on(1)


@pytest.fixture
def board(app):
    """Lines of this process, of which tasks know."""
    made = Board(app)
    tasks.switchboards[app] = made
    yield made
    with contextlib.suppress(Exception):
        made.store.redis.connection_pool.connection_kwargs["server"].connected = True
    made.close()
    del tasks.switchboards[app]
