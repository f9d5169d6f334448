"""Connected clients of the scripted Call Manager, and calls on them."""

from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from telephony import Call, Client, Event
from tests.conftest import DIAL
from tests.scripted import SECONDS, Line, Recorded, Running, ScriptedCM

JOIN = {"token": "rtc-token-200", "channel": "support", "uid": "200"}

Connect = Callable[..., tuple[Client, Line]]


@pytest.fixture
def connected(scripted: ScriptedCM) -> Iterator[Connect]:
    """Make clients connected to ``scripted``, each with its line; they are closed at the end.

    ``prepare`` is called with the client before it connects.
    """
    made: list[Client] = []

    def connect(prepare: Callable[[Client], Any] | None = None, **options: Any) -> Any:
        client = scripted.client(**options)
        made.append(client)
        if prepare is not None:
            prepare(client)
        connecting = Running(client.connect)
        line = scripted.line()
        line.greet()
        connecting.result()
        return client, line

    yield connect
    for client in made:
        client.close()


def dialled(client: Client, line: Line, call_id: str = "call-1", **fields: Any) -> Call:
    """A call that the CM took, still ringing."""
    dialling = Running(client.dial, **{**DIAL, **fields})
    line.answer(line.receive("outbound"), callid=call_id)
    call = dialling.result()
    assert isinstance(call, Call)
    return call


def answered(client: Client, line: Line, call_id: str = "call-1", **fields: Any) -> Call:
    """A dialled call that was picked up."""
    call = dialled(client, line, call_id, **fields)
    line.event("call_answered", call_id)
    call.wait_answered(SECONDS)
    return call


def offered(client: Client, line: Line, call_id: str = "call-9", **fields: Any) -> Call:
    """An incoming call that a callback keeps, to decide later."""
    recorded = Recorded()

    def keep(event: Event) -> bool:
        recorded(event)
        return True

    client.on(Event, keep, call_id=call_id)
    common = {"direction": "inbound", "from": "+15550001", "to": "+18005551234", "appid": "APP"}
    line.event("call_incoming", call_id, **{**common, **fields})
    call = recorded.next().call
    client.off(keep)
    assert isinstance(call, Call)
    return call


def synced(client: Client, line: Line) -> None:
    """Return when the client has taken in all that the line has sent."""
    asking = Running(client.command, "sync")
    line.answer(line.receive("sync"))
    asking.result()


def settled(client: Client, line: Line) -> None:
    """Return when every callback for all that the line has sent has run; closes the client."""
    synced(client, line)
    client.close(drain=SECONDS)


class Story:
    """Every event of a client, in the order of its callbacks."""

    def __init__(self, client: Client) -> None:
        self.events: list[Event] = []
        client.on(Event, self.events.append)

    def of(self, call_id: str) -> list[str]:
        """The names of one call's events."""
        return [
            event.name
            for event in self.events
            if getattr(getattr(event, "info", None), "call_id", None) == call_id
        ]

    def named(self, name: str) -> list[Any]:
        return [event for event in self.events if name == event.name]
