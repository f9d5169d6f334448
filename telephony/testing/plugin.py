"""The pytest plugin, there as soon as the package is installed.

``telephony_sandbox`` is a Call Manager of the test's own, on this machine, whose calls go fifty
times as fast as real ones; ``telephony_client`` is a client connected to it::

    def test_it_answers(telephony_sandbox, telephony_client):
        telephony_client.on(CallIncoming, my_service.answer)
        caller = telephony_sandbox.incoming(to="+1800…", from_="+1555…")
        assert caller.wait_accepted(timeout=5)

Needs ``pip install "agora-telephony[sandbox]"``, once a fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:  # every pytest run on the machine loads this file: it must cost nothing
    from telephony.client import Client
    from telephony.sandbox import Sandbox

#: How many times as fast as real ones the calls go.
TIME_SCALE = 50.0


@pytest.fixture
def telephony_sandbox() -> Iterator[Sandbox]:
    """A Call Manager for this test, on a port of its own, with a fast clock."""
    from telephony.sandbox import Sandbox

    # Whoever is to accept a call is no faster in a test: the hold is 15 s there too.
    with Sandbox(
        time_scale=TIME_SCALE, lookup_hold=15 * TIME_SCALE, cm_hold=30 * TIME_SCALE
    ) as sandbox:
        yield sandbox


@pytest.fixture
def telephony_client(telephony_sandbox: Sandbox) -> Iterator[Client]:
    """A client connected to ``telephony_sandbox``; closed after the test.

    Callbacks that still run then are waited for, 5 s at most.
    """
    client = telephony_sandbox.client()
    try:
        client.connect()
        yield client
    finally:
        client.close(drain=5)
