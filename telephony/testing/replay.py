"""A recording played to a client by a server that plays the Call Manager of then."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any, Iterable

from telephony.errors import InvalidArgumentError, TelephonyError, WaitTimeoutError
from telephony.protocol.commands import checked_seconds, checked_wait
from telephony.recording import read
from telephony.runtime.backoff import Backoff
from telephony.runtime.deadline import Deadline
from telephony.sandbox.hosting import Hosted
from telephony.testing.driver import LOOK_SECONDS, Driver
from telephony.testing.playback import Playback, ReplayDifference, app_id_of, registration_of

if TYPE_CHECKING:
    import os

    from telephony.client import Client
    from telephony.testing.player import Player

#: On leaving, a client that neither answers nor ends is not waited for any longer than this.
LEAVE_SECONDS = 1.0


class Replay(Hosted["Player"]):
    """Plays the Call Manager's side of the recording in the file *path* to one client.

    ::

        with Replay("incident.jsonl") as replay:
            client = replay.client()
            my_app.register(client)      # before it connects, so that it hears everything
            with client:
                replay.wait_finished()

    A real WebSocket server on a thread of its own. What the CM said then it says again, in that
    order; where the client sent a command it waits for the client at hand to send it (commands
    may come sooner, but not later or never), and answers with what was answered. Losses of the
    connection are played as losses.

    *speed* 0: as fast as the client follows; 1: at the pace of the recording; 2: twice as fast.
    What hangs on a clock (a command that timed out, a call left to ring) needs 1. *port* 0: the
    system chooses. *ignore* names fields in which commands may differ, such as ``channel``;
    tokens, trunk URIs and the client's id may always. Where the recording has other phone numbers
    in place of the real ones, these are not compared; digits made ``0`` are by their count.

    Raises ``telephony.recording.RecordingError`` naming file and line for what cannot be played,
    ``InvalidArgumentError``, and ImportError without aiohttp.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        speed: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        ignore: Iterable[str] = (),
    ) -> None:
        super().__init__(host, port)
        if isinstance(ignore, str):
            raise InvalidArgumentError("ignore must be a list of names")
        self._speed = checked_seconds("speed", speed, zero=True)
        self._recording = read(path)
        self._playback = Playback(self._recording, ignore)
        self._told = False  # of the difference that there was
        self._auth_token = f"Basic {secrets.token_hex(16)}"

    def _make(self) -> Player:
        from telephony.testing.player import Player

        return Player(self._playback, self._speed, self._is_token)

    def start(self) -> Replay:
        """Listen, and return self; again while running: nothing. Raises OSError: port taken."""
        if self._playback.stopped:
            raise TelephonyError("a replay is played once: make a new one")
        return super().start()

    def stop(self) -> None:
        """Cut the connection and end the thread; again: nothing. It cannot be started again."""
        self._playback.end(stopped=True)
        super().stop()

    def __exit__(self, kind: object = None, *_: object) -> None:
        """Stop; raises a `ReplayDifference` that nobody was told of, unless another error is."""
        __tracebackhide__ = True
        if kind is None:
            self._follow(LEAVE_SECONDS)  # a client that was closed before counts as closed
        self.stop()
        if kind is None and not self._told:
            self._tell()

    def _tell(self) -> None:
        __tracebackhide__ = True
        if self._playback.difference is not None:
            self._told = True
            raise ReplayDifference(self._playback.difference)

    def __repr__(self) -> str:
        return f"<Replay of {self._recording.path}>"

    @property
    def auth_token(self) -> str:
        """The token to register with: another for each replay."""
        return self._auth_token

    @property
    def app_id(self) -> str:
        """The App ID that was registered for."""
        return app_id_of(self._recording)

    @property
    def environ(self) -> dict[str, str]:
        """``CM_HOST``, ``AUTH_TOKEN`` and ``APPID`` for another process."""
        return {"CM_HOST": self.url, "AUTH_TOKEN": self.auth_token, "APPID": self.app_id}

    def client(self, **options: Any) -> Client:
        """Return a `telephony.Client` for this replay, not connected.

        Options are the client's. Unless given, it subscribes to what the recorded one did, and at
        speed 0 makes a lost connection again without long pauses.
        """
        from telephony.client import Client

        if not self._speed:
            options.setdefault("reconnect", Backoff(initial=0.05, maximum=0.2))
        numbers = registration_of(self._recording).get("subscribe_numbers")
        options.setdefault("subscribe_numbers", numbers)
        client_id = options.pop("client_id", None)
        return Client(self.url, self.auth_token, client_id, self.app_id, **options)

    def drive(self, client: Client) -> None:
        """Connect *client*, and send through its methods what the recorded client sent.

        Each command is sent in its place, on a thread of its own, with what was masked left
        masked. Blocks until all was sent and answered as it was then, or the replay is over;
        `wait_finished` tells which. How commands end is not looked at. Raises what ``connect``
        raises, and ``NotSentError`` if the client is closed or gives its connection up.
        """
        self._server()
        Driver(self._playback, client, self._follow, self._speed).run()

    def wait_finished(self, timeout: float | None = 10) -> None:
        """Wait until all was played and the client has taken it in: its calls' states are final.

        (Callbacks may still run: ``client.close(drain=…)`` waits for them.) Raises
        `ReplayDifference`, an AssertionError, as soon as the client does something else than the
        recording; ``WaitTimeoutError`` after *timeout* seconds (None: never), saying what is
        waited for.
        """
        __tracebackhide__ = True
        playback = self._playback
        in_time = playback.wait_over(checked_wait("timeout", timeout))
        self._tell()
        if not in_time:
            raise WaitTimeoutError(f"not finished within {timeout:g} s: {playback.stands()}")
        if not playback.finished:
            raise TelephonyError(f"the replay was stopped: {playback.stands()}")

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What the client sent, in order of arrival, registrations included."""
        return self._playback.frames()

    def _is_token(self, token: object) -> bool:
        return isinstance(token, str) and hmac.compare_digest(
            token.encode(), self._auth_token.encode()
        )

    def _server(self) -> Player:
        running = self._running
        if running is None:
            raise TelephonyError("the replay does not run: use `with`, or start()")
        return running.server

    def _follow(self, most: float | None = None) -> None:
        """Return once the client has all it was sent, or is gone; at most *most* seconds."""
        running = self._running
        if running is None:
            return
        following = running.server.follow()
        try:
            followed = asyncio.run_coroutine_threadsafe(following, running.loop)
        except RuntimeError:  # it was stopped meanwhile
            following.close()
            return
        deadline = Deadline(most)
        while running is self._running and not deadline.expired:
            with contextlib.suppress(concurrent.futures.TimeoutError):
                with contextlib.suppress(concurrent.futures.CancelledError):
                    followed.result(LOOK_SECONDS)
                return
