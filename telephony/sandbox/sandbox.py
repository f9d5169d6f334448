"""The sandbox as its users hold it: started, scripted, disturbed and asked from any thread."""

from __future__ import annotations

import math
import ssl as ssl_module
from typing import TYPE_CHECKING, Any, Iterable, Literal, Mapping

from telephony.errors import InvalidArgumentError
from telephony.sandbox.assertions import Assertions
from telephony.sandbox.calls import Leg
from telephony.sandbox.controls import FaultControls
from telephony.sandbox.dialplan import DialPlan, DialScript
from telephony.sandbox.farend import FarEnd
from telephony.sandbox.faults import Faults
from telephony.sandbox.hosting import Hosted
from telephony.sandbox.journal import Journal
from telephony.sandbox.settings import DEFAULT_AUTH_TOKEN, settle

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from telephony.call import Call
    from telephony.client import Client
    from telephony.config import ClientOptions
    from telephony.sandbox.server import Server


class Sandbox(Assertions, FaultControls):
    """A Call Manager on this machine, with everybody it can call.

    ``port`` 0 lets the system choose; after the first `start` it stays the same, so that
    clients find it again. A ``host`` that is not loopback needs an ``auth_token`` of your own.
    ``app_ids`` are the App IDs served (one, unless ``tokens`` or ``dids`` name others);
    ``tokens`` gives some of them a token of their own. ``dids`` is the allow-list, App ID to
    DIDs, or just DIDs for the first App ID: calls come in for these only, and dialling one
    loops back into a second, inbound call. Without it calls come in for any number, and
    dialling a number loops back when a client has subscribed to it, or it is in ``loop_back``.

    ``time_scale`` is how many times as fast the call clock runs as real time. On it are
    ringing, holds (``lookup_hold``, at most ``cm_hold``), delays of scripts, durations; not
    on it are the keepalive, ``register_timeout``, `delay`, and what tests wait. ``dtmf_echo``
    is ``"whole"`` or ``"digits"``; ``respond`` says when dials are answered, see `script_dial`.

    As at the real one, the gateway's lookups and the list of clients need no token.

    Raises `InvalidArgumentError` for settings that make no sense and ImportError without
    aiohttp. Every method may be called from any thread and returns when it has taken effect.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        auth_token: str = DEFAULT_AUTH_TOKEN,
        app_ids: Iterable[str] | str | None = None,
        tokens: Mapping[str, str] | None = None,
        dids: Mapping[str, Iterable[str]] | Iterable[str] | None = None,
        loop_back: Iterable[str] = (),
        lookup_hold: float = 15.0,
        cm_hold: float = 30.0,
        time_scale: float = 1.0,
        dtmf_echo: Literal["whole", "digits"] = "whole",
        respond: Literal["answer", "early"] = "answer",
        ping_interval: float = 5.0,
        ping_timeout: float = 10.0,
        register_timeout: float = 10.0,
        ssl_context: ssl_module.SSLContext | None = None,
    ) -> None:
        Hosted.__init__(self, host, port, ssl_context)
        FaultControls.__init__(self, Faults())
        times = dict(
            time_scale=time_scale,
            lookup_hold=lookup_hold,
            cm_hold=cm_hold,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            register_timeout=register_timeout,
        )
        for name, seconds in times.items():
            if not 0 < seconds < math.inf:
                raise InvalidArgumentError(f"{name} must be more than 0, is {seconds!r}")
        self._settings = settle(
            host=host,
            auth_token=auth_token,
            app_ids=app_ids,
            tokens=tokens,
            dids=dids,
            loop_back=loop_back,
            dtmf_echo=dtmf_echo,
            lookup_hold=min(lookup_hold, cm_hold),
            respond=respond,
        )
        self._timing = dict(
            time_scale=time_scale,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            register_timeout=register_timeout,
        )
        self._journal = Journal()
        self._dialplan = DialPlan(respond)

    def _make(self) -> Server:
        from telephony.sandbox.server import Server

        return Server(
            self._settings, self._journal, self._dialplan, self._faults, **self._timing
        )

    def stop(self) -> None:
        """Cut every connection, forget every call, end the thread; again: nothing.

        What the clients sent stays in `frames`, scripts and faults stay as they are.
        """
        super().stop()

    def __repr__(self) -> str:
        return f"<Sandbox on {self._host}:{self._port}>"

    # Where it is and who may come in ----------------------------------------------------

    @property
    def http_url(self) -> str:
        """The HTTP URL, without a path."""
        return self._address("http")

    @property
    def auth_token(self) -> str:
        """The token that opens MULTI, and every App ID without one of its own."""
        return self._settings.auth_token

    @property
    def app_id(self) -> str:
        """The first App ID."""
        return self._settings.app_ids[0]

    @property
    def app_ids(self) -> tuple[str, ...]:
        """All App IDs served."""
        return self._settings.app_ids

    @property
    def environ(self) -> dict[str, str]:
        """What another process needs in its environment to be a client of this sandbox.

        ``CM_HOST``, ``AUTH_TOKEN`` and ``APPID``, as ``Client.from_env()`` reads them.
        """
        token = self._settings.token_of(self.app_id) or self.auth_token
        return {"CM_HOST": self.url, "AUTH_TOKEN": token, "APPID": self.app_id}

    def client(
        self,
        *,
        client_id: str | None = None,
        app_id: str | None = None,
        auth_token: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> Client:
        """Return a `telephony.Client` for this sandbox, not connected; options are the client's.

        Without ``app_id`` it is for the first one, without ``auth_token`` it has the right one.
        """
        from telephony.client import Client

        app_id = self.app_id if app_id is None else app_id
        token = auth_token or self._settings.token_of(app_id) or self.auth_token
        given: dict[str, Any] = {**options}
        return Client(self.url, token, client_id, app_id, **given)

    def reset(self) -> None:
        """Be as new for the next test, with the clients still connected.

        Every call is ended, which its client is told; calls, frames, scripts and faults are
        forgotten.
        """
        self.clear_faults()
        self._dialplan.clear()
        self.run(self._server().switch.forget_all)
        self._journal.clear()

    # Calls ------------------------------------------------------------------------------

    def script_dial(
        self,
        outcome: Literal["answer", "busy", "no_answer", "no_gateway", "invalid"] = "answer",
        *,
        ring: float | None = None,
        delay: float | None = None,
        respond: Literal["answer", "early"] | None = None,
        reason: str | None = None,
        to: str | None = None,
        direction: Literal["outbound", "outbound_sip"] = "outbound",
        composite_hangup: bool = False,
    ) -> None:
        """Decide what becomes of a dial to come: the next one, or the next one to ``to``.

        Several queue up. ``outcome``: ``answer``, ``busy``, ``no_answer``, ``no_gateway``,
        ``invalid``. ``ring``: how long it rings first, in seconds of the call clock; a dial's
        own timeout cuts it short. ``delay``: how much later the response is sent, so that
        events overtake it. ``respond="early"``: the response, with the callid, comes when the
        gateway takes the request instead of when the callee answers; what goes wrong then
        ends the call with ``call_hangup`` instead of refusing the dial. ``reason``: the refusal's
        own words. ``direction``: ``outbound`` or ``outbound_sip``. ``composite_hangup``: its
        ``call_hangup`` carries ``appid:channel:uid`` for a callid.
        """
        self._dialplan.add(
            DialScript(
                outcome=outcome,
                ring=ring,
                delay=delay or 0.0,
                respond=self._settings.respond if respond is None else respond,
                reason=reason,
                to=to,
                direction=direction,
                composite_hangup=composite_hangup,
            )
        )

    def incoming(
        self,
        to: str,
        from_: str,
        *,
        app_id: str | None = None,
        pin: str | None = None,
        sip_headers: Mapping[str, str] | None = None,
        hold: float | None = None,
    ) -> FarEnd:
        """Phone the DID ``to`` from ``from_`` and return the caller, without waiting for anybody.

        The call is held for ``hold`` seconds of the call clock (``lookup_hold`` if None). When
        no client is eligible it has ended on return, with ``UNALLOCATED_NUMBER``.
        """
        server = self._server()

        def offer() -> Leg:
            return server.inbound.offer(
                to, from_, app_id, pin=pin, sip_headers=sip_headers, hold=hold
            )

        return FarEnd(self, server.switch, self.run(offer))

    def peer(self, call: Call | str) -> FarEnd:
        """Return the far end of a call: of a `telephony.Call`, or of a call id.

        Raises `InvalidArgumentError` for a call that this sandbox does not know.
        """
        call_id = call if isinstance(call, str) else getattr(call, "call_id", None)
        switch = self._server().switch
        leg = self.run(switch.any_leg, call_id) if call_id else None
        if leg is None:
            raise InvalidArgumentError(f"call: the sandbox knows none with the id {call_id!r}")
        return FarEnd(self, switch, leg)
