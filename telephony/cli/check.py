"""``telephony check``: which step of connecting fails, and what to do about it.

The steps are the library's: ``dns``, ``tcp`` (or ``proxy`` for both), ``tls``, ``upgrade``,
``register``; then ``command``, a request that is answered, and with a DID ``did``.

What cannot be known is said to be so. A Call Manager answers ``unauthorized`` to a wrong token
and to a wrong App ID. It has one registration, MULTI, that needs a token and no App ID: the
same token is tried for that, with a subscription to a number that nobody has, so that no call
is offered to it. Taken, the App ID was wrong. Refused, nothing is proved (MULTI need not be
allowed), and both are named.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import statistics
import time
from typing import TYPE_CHECKING, Any, Sequence

import attrs

from telephony.cli import faults
from telephony.cli.did import Served, ask_who_serves
from telephony.cli.faults import Fault, fault_of
from telephony.client import Client
from telephony.errors import (
    CommandRefusedError,
    ConnectError,
    RegistrationError,
    TelephonyError,
)
from telephony.runtime.handshake import Endpoint, choose_proxy

if TYPE_CHECKING:
    from telephony.cli.output import Output

#: So many requests are timed.
SAMPLES = 5

_NOBODYS_NUMBER = "0"


class Check:
    """One check of the account in the environment.

    ``run()`` blocks no longer than *timeout* seconds for each of: connecting, each registration
    that is tried to tell two faults apart, and each request.
    """

    def __init__(
        self, out: Output, dids: Sequence[str], *, timeout: float, allow_insecure: bool
    ) -> None:
        self._out = out
        self._dids = dids
        self._timeout = timeout
        self._options: dict[str, Any] = {
            "allow_insecure": allow_insecure,
            "connect_timeout": timeout,
            "command_timeout": timeout,
            "reconnect": False,
        }
        self._client = Client.from_env(subscribe_numbers=dids, **self._options)
        self._endpoint = Endpoint.parse(self._client.options.url)
        self._url = self._client.options.url.partition("?")[0]  # a query may hold a token

    def run(self) -> bool:
        """Print each step and how it went; returns whether all went well."""
        failure: ConnectError | None = None
        began = time.monotonic()
        try:
            with self._out.waiting(f"connecting to {self._endpoint.authority}"):
                self._client.connect()
        except ConnectError as error:
            failure = error
        took = _ms(time.monotonic() - began)
        try:
            self._say_steps(failure)
            if failure is not None:
                return self._say_failed(failure.phase, failure, self._fault(failure))
            return self._try_commands(took)
        finally:
            self._client.close()

    # --- the steps ---------------------------------------------------------------------------

    def _say_steps(self, failure: ConnectError | None) -> None:
        for phase in self._phases(failure):
            passed = failure is None or phase != failure.phase
            self._say_step(phase, passed)
            if not passed:
                break

    def _phases(self, failure: ConnectError | None) -> list[str]:
        """The steps of a connect, in order."""
        proxied = failure is not None and failure.phase == "proxy"
        with contextlib.suppress(ConnectError):
            proxied = proxied or choose_proxy(self._endpoint, None) is not None
        # Reaching the proxy is a part of its step; the CM's name is then the proxy's to look up.
        reach = ["proxy"] if proxied else ["dns", "tcp"]
        return [*reach, *(["tls"] if self._endpoint.secure else []), "upgrade", "register"]

    def _try_commands(self, took: float) -> bool:
        """With the connection up: is a request answered, how fast, and is the DID served?"""
        session_id = self._client.health().session_id
        try:
            with self._out.waiting(f"timing {SAMPLES} requests"):
                times = self._timed()
        except TelephonyError as error:
            self._say_step("command", False)
            return self._say_failed("command", error, faults.NO_ANSWER_TO_COMMANDS)
        unsure = []
        for did in self._dids:
            with self._out.waiting(f"asking who serves {did}"):
                found = ask_who_serves(self._client, self._endpoint, did, self._timeout)
            self._say_step("did", found.served is not Served.NO, did=did, served=found.served.value)
            if found.served is Served.NO:
                words = f"{did}: {found.why}"
                return self._say_failed("did", TelephonyError(words), faults.DID_NOT_SERVED)
            if found.served is Served.UNKNOWN:
                unsure.append(f"{did}: {found.why}")
        self._say_well(session_id, took, times, unsure)
        return True

    def _timed(self) -> list[float]:
        """Milliseconds of some requests that change nothing: subscribing to what it is already."""
        times = []
        for _ in range(SAMPLES):
            began = time.monotonic()
            with contextlib.suppress(CommandRefusedError):  # an answer, too; of DIDs more below
                self._client.subscribe(self._dids)
            times.append(_ms(time.monotonic() - began))
        return times

    # --- whose fault it is ---------------------------------------------------------------------

    def _fault(self, failure: ConnectError) -> Fault:
        greeted = bool(self._client.health().session_id)
        if not greeted or not isinstance(failure, RegistrationError):
            return fault_of(failure, greeted=greeted)
        if failure.phase != "register":  # by the upgrade already
            return fault_of(failure, greeted=True)
        with self._out.waiting("trying what is wrong with the credentials"):
            return self._wrong_credentials(failure.reason.lower())

    def _wrong_credentials(self, reason: str) -> Fault:
        """Which of token, App ID and DID was refused, as far as it can be known."""
        if "token" in reason:
            return faults.WRONG_TOKEN
        if self._dids and self._registers(subscribe_numbers=None):
            return faults.DID_NOT_SERVED
        app_id = self._client.options.app_id
        if app_id != "MULTI" and self._registers("MULTI", subscribe_numbers=[_NOBODYS_NUMBER]):
            return faults.WRONG_APP_ID
        fault = faults.WRONG_CREDENTIALS
        seen = _looks_wrong(self._client.options.auth_token)
        return attrs.evolve(fault, advice="; ".join([*seen, fault.advice]))

    def _registers(self, app_id: str | None = None, **options: Any) -> bool:
        """Whether the Call Manager takes the token with something else changed."""
        ours = self._client.options
        other = Client(
            ours.url, ours.auth_token, None, app_id or ours.app_id, **self._options, **options
        )
        try:
            other.connect()
        except ConnectError:
            return False
        finally:
            other.close()
        return True

    # --- what is said ------------------------------------------------------------------------

    def _say_step(self, phase: str, passed: bool, **more: Any) -> None:
        self._out.line(
            f"{phase:<9} {'ok' if passed else 'FAILED'}",
            event="step",
            phase=phase,
            ok=passed,
            **more,
        )

    def _say_failed(self, phase: str, error: TelephonyError, fault: Fault) -> bool:
        self._out.line(
            f"{error}\nwhat to do: {fault.advice}",
            event="check",
            ok=False,
            url=self._url,
            phase=phase,
            fault=fault.name,
            status_code=getattr(error, "status_code", None),
            error=str(error),
            advice=fault.advice,
        )
        return False

    def _say_well(
        self, session_id: str, took: float, times: list[float], unsure: list[str]
    ) -> None:
        client_id = self._client.options.client_id
        latency = {
            "median_ms": round(statistics.median(times), 1),
            "min_ms": min(times),
            "max_ms": max(times),
            "samples": len(times),
            "request": "subscribe",
        }
        text = [
            f"{self._url}: registered as {client_id} in {took:g} ms, session {session_id}",
            f"latency: {latency['median_ms']:g} ms, the median of {len(times)} subscribe requests "
            f"({min(times):g} to {max(times):g})",
            *(f"not known: {each}" for each in unsure),
        ]
        self._out.line(
            "\n".join(text),
            event="check",
            ok=True,
            url=self._url,
            client_id=client_id,
            session_id=session_id,
            connect_ms=took,
            latency=latency,
            not_known=unsure,
        )


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _looks_wrong(token: str) -> list[str]:
    """What can be seen of a token without asking anybody."""
    if token[:1] in "\"'":
        return ["AUTH_TOKEN begins with a quotation mark"]
    scheme, _, rest = token.partition(" ")
    if scheme != "Basic":
        return ["AUTH_TOKEN does not begin with 'Basic '"]
    try:
        base64.b64decode(rest, validate=True)
    except (binascii.Error, ValueError):
        return ["what follows 'Basic ' in AUTH_TOKEN is not base64, as it usually is"]
    return []
