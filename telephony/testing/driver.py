"""The commands of a recording, sent again through a client's own methods."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable

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


def sending(client: Client, frame: dict[str, Any]) -> Callable[[], Any]:
    """What sends *frame* through a method of *client*, with what was masked in it as it is."""
    action = str(frame["action"])
    fields = {name: value for name, value in frame.items() if name not in ("action", "request_id")}
    kind = KINDS.get(action)
    names = {f.metadata.get("wire", f.name): f.name for f in attrs.fields(kind)} if kind else {}
    if kind is None or set(fields) - set(names):
        return lambda: client.command(action, **fields)
    arguments = {names[name]: value for name, value in fields.items()}
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
        sent: list[threading.Thread] = []
        for number, take in enumerate(self._playback.takes):
            answered = take.answered
            for at, step in enumerate(take.steps):
                if not step.sent or step.action == "register":
                    continue
                while not self._playback.wait_reached(number, at, LOOK_SECONDS):
                    self._check_client()
                if self._speed:
                    self._playback.wait_over(step.pause / self._speed)
                thread = self._send(step)
                if self._playback.over:
                    return
                if thread is not None and step.request_id in answered:
                    sent.append(thread)
        for thread in sent:
            thread.join()

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
            failed: list[TelephonyError] = []
            ended = threading.Event()
            send = sending(self._client, step.entry.frame)

            def run() -> None:
                try:
                    send()
                except TelephonyError as error:
                    failed.append(error)
                finally:
                    ended.set()
                    self._playback.wake()

            thread = threading.Thread(target=run, name="telephony-replay-command", daemon=True)
            thread.start()
            if self._playback.wait_claimed(step, ended) or self._playback.over:
                return thread
            thread.join()
            error = failed[0] if failed else None
            gone = isinstance(error, (ClientClosedError, ForkedClientError))
            if error is not None and (gone or not isinstance(error, NotSentError)):
                raise error
