"""Where commands are cut: a sandbox, a proxy in front of it, and a client."""

from __future__ import annotations

from typing import Any

from telephony import Call, CallIncoming, CallOrphaned, Client, CommandRefusedError, Connected
from telephony.runtime.backoff import Backoff
from telephony.sandbox import Sandbox
from tests.faults.proxy import Proxy
from tests.scripted import Recorded

SECONDS = 20.0


class Bench:
    """A sandbox, a proxy in front of it, and a client that comes back at once."""

    def __init__(self, respond: str = "answer") -> None:
        long = 1e6  # nothing but the commands is to be on the wire
        self.cm = Sandbox(time_scale=500, ping_interval=long, ping_timeout=long,
                          lookup_hold=long, cm_hold=long, respond=respond)  # fmt: skip
        self._uid = 0

    def __enter__(self) -> Bench:
        self.cm.start()
        self.proxy = Proxy(self.cm.port).__enter__()
        self.client = Client(
            self.proxy.url, self.cm.auth_token, "bench", self.cm.app_id,
            reconnect=Backoff(initial=0.001, maximum=0.002),
            ping_interval=3600, ping_timeout=7200,
            command_timeout=SECONDS, dial_timeout=SECONDS,
        )  # fmt: skip
        self.connected, self.orphaned, self.incoming = Recorded(), Recorded(), Recorded()
        self.client.on(Connected, self.connected)
        self.client.on(CallOrphaned, self.orphaned)
        self.client.on(CallIncoming, self._offered)
        self.client.connect()
        self.connected.next(SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.proxy.stop()
        self.cm.stop()

    def _offered(self, event: CallIncoming) -> bool:
        self.incoming(event)
        return True  # to be accepted later

    def dial(self) -> Call:
        self._uid += 1
        return self.client.dial(
            to="+18005551234", from_="+15551234567", channel="room", uid=str(self._uid),
            token="rtc", region="AREA_CODE_NA",
        )  # fmt: skip

    def dialled(self) -> Any:
        """What the sandbox knows of the last dial, or None."""
        found = [call for call in self.cm.calls if call.uid == str(self._uid)]
        return found[0] if found else None

    def commands_since(self, count: int) -> list[dict[str, Any]]:
        """What the sandbox has heard since, but for registrations and our own syncs."""
        frames = self.cm.frames[count:]
        return [frame for frame in frames if frame["action"] not in ("register", "sync")]

    def sync(self) -> None:
        """Return when the client has taken in all that the sandbox sent it by now."""
        try:
            self.client.command("sync")
        except CommandRefusedError:
            return
        raise AssertionError("the sandbox took a sync for a command")
