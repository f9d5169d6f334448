"""The commands of a recording, sent again through a client's own methods."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable, Iterator

import attrs

from telephony.errors import (
    ClientClosedError,
    ForkedClientError,
    NotConnectedError,
    NotSentError,
    TelephonyError,
)
from telephony.protocol import commands
from telephony.protocol.states import ConnectionState
from telephony.testing.playback import Playback, Step

if TYPE_CHECKING:
    from telephony.client import Client

KINDS: dict[str, type[commands.Command]] = {
    kind.action: kind
    for kind in (
        commands.Dial, commands.Accept, commands.Reject, commands.EndCall, commands.HangUp,
        commands.SendDtmf, commands.Bridge, commands.Unbridge, commands.Rebridge,
        commands.Transfer, commands.Subscribe,
    )
}  # fmt: skip

#: How often it is looked whether the client is still there.
LOOK_SECONDS = 0.25

#: Where the method has another name than the command.
METHODS = {"outbound": "dial", "endcall": "hangup"}
DIRECTIONS = {"endcall": "outbound", "hangup": "inbound"}


def sending(client: Client, frame: dict[str, Any]) -> Callable[[], object]:
    """What sends *frame* through a method of *client*, with what was masked in it as it is."""
    action = str(frame["action"])
    given = {name: value for name, value in frame.items() if name not in ("action", "request_id")}
    kind = KINDS.get(action)
    fields = {f.metadata.get("wire", f.name): f for f in attrs.fields(kind)} if kind else {}
    needed = {name for name, field in fields.items() if field.default is attrs.NOTHING}
    if not needed <= set(given) <= set(fields):  # sent by the method for any command
        return lambda: client.command(action, **given)
    arguments = {fields[name].name: value for name, value in given.items()}
    if action in DIRECTIONS:
        arguments["direction"] = DIRECTIONS[action]
    method = getattr(client, METHODS.get(action, action))
    return lambda: method(**arguments)


class Driver:
    """Sends what a recorded client sent, each command in its place."""

    def __init__(
        self, playback: Playback, client: Client, follow: Callable[[], None], speed: float
    ) -> None:
        self._playback = playback
        self._client = client
        self._follow = follow  # returns once the client has taken in all it was sent
        self._speed = speed

    def run(self) -> None:
        """Returns once all was sent, and what was answered in the recording is answered."""
        self._client.connect()
        answers: list[threading.Thread] = []
        for number, at, step in self._commands():
            while not self._playback.wait_reached(number, at, LOOK_SECONDS):
                self._check_client()
            if self._speed:
                self._playback.wait_over(step.pause / self._speed)
            if self._playback.over:
                break
            thread = self._send(step)
            if thread is not None and step.request_id in self._playback.takes[number].answered:
                answers.append(thread)
        for thread in answers:
            while thread.is_alive() and not self._playback.broken:
                thread.join(LOOK_SECONDS)

    def _commands(self) -> Iterator[tuple[int, int, Step]]:
        """The number of the connection, the place in it, and the command."""
        for number, take in enumerate(self._playback.takes):
            for at, step in enumerate(take.steps):
                if step.sent and step.action != "register":
                    yield number, at, step

    def _check_client(self) -> None:
        """Raise if nothing will come of it any more."""
        if self._client.closed:
            raise ClientClosedError("the client was closed before the end of the replay")
        if self._client.state is ConnectionState.IDLE:
            raise NotConnectedError("not connected (idle): the client has given up its connection")

    def _send(self, step: Step) -> threading.Thread | None:
        """Send one command on a thread of its own; returns when it is on its way."""
        while True:
            while not (self._playback.over or self._client.wait_connected(LOOK_SECONDS)):
                self._check_client()
            self._follow()
            if step.claimed or self._playback.over:  # some the client sends on its own account
                return None
            failed: list[Exception] = []
            ended = threading.Event()
            thread = threading.Thread(
                target=self._run,
                args=(sending(self._client, step.entry.frame), failed, ended),
                name="telephony-replay-command",
                daemon=True,
            )
            thread.start()
            if self._playback.wait_claimed(step, ended) or self._playback.over:
                return thread
            thread.join()
            error = failed[0] if failed else TelephonyError(f"{step} was not sent")
            gone = isinstance(error, (ClientClosedError, ForkedClientError))
            if gone or not isinstance(error, NotSentError):
                raise error

    def _run(
        self, send: Callable[[], object], failed: list[Exception], ended: threading.Event
    ) -> None:
        try:
            send()
        except Exception as error:  # whoever waits for the command to be sent looks what it is
            failed.append(error)
        finally:
            ended.set()
            self._playback.wake()
