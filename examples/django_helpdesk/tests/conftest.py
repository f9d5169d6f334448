"""A desk that is open: the tests' own process does what ``telephony_listen`` does."""

import queue

import pytest
from django.db import connections

from desk.models import Agent
from telephony.contrib.django import close_client, get_client


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory):
    """Callbacks have threads, and so connections, of their own: the database is in a file."""
    name = tmp_path_factory.mktemp("database") / "test.sqlite3"
    connections["default"].settings_dict["TEST"]["NAME"] = str(name)


@pytest.fixture
def agents(transactional_db):
    """Two on duty, and one who went home."""
    return [
        Agent.objects.create(name=name, channel=f"desk-{name.lower()}", on_duty=name != "Linus")
        for name in ("Ada", "Grace", "Linus")
    ]


@pytest.fixture
def desk(agents, settings, telephony_sandbox, telephony_environ):
    """The sandbox, with a desk that answers its calls."""
    settings.TELEPHONY = {**settings.TELEPHONY, "INBOUND": True, "CONNECT_TIMEOUT": 30}
    get_client()
    yield telephony_sandbox
    close_client(drain=30)


@pytest.fixture
def told(desk):
    """A function that has a signal noted; what it returns waits for the next event."""
    connected = []

    def note(signal):
        events = queue.Queue()

        def receive(sender, event, **kwargs):
            events.put(event)

        signal.connect(receive, weak=False)  # after the desk's own receivers
        connected.append((signal, receive))
        return lambda: events.get(timeout=30)

    yield note
    close_client(drain=30)
    for signal, receive in connected:
        signal.disconnect(receive)
