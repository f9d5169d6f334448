"""``telephony check``: which step of connecting fails, and what to do about it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from telephony.client import Client
from telephony.errors import ConnectError, RegistrationError
from telephony.runtime.handshake import Endpoint, choose_proxy

if TYPE_CHECKING:
    from telephony.cli.output import Output

_ADVICE = {
    "dns": "look for a typing error in CM_HOST, and whether this machine can look up names",
    "tcp": "check the host and port in CM_HOST, and that no firewall is in between",
    "tls": "check this machine's clock and certificates, and that the port speaks TLS (wss://)",
    "proxy": "check HTTPS_PROXY, or exempt the host with NO_PROXY",
    "upgrade": "check that CM_HOST is a Call Manager, and the path if it has one",
    "register": "check AUTH_TOKEN ('Basic ...'), and that it is one for this APPID",
}


def run(client: Client, out: Output) -> bool:
    """Connect, print each step and how it went, and close; returns whether all went well.

    Blocks for the client's ``connect_timeout`` at most.
    """
    failure: ConnectError | None = None
    began = time.monotonic()
    try:
        client.connect()
    except ConnectError as error:
        failure = error
    took = round(1000 * (time.monotonic() - began), 1)
    session_id = client.health().session_id
    client.close()

    for phase in _phases(client.options.url, failure):
        passed = failure is None or phase != failure.phase
        out.line(f"{phase:<9} {'ok' if passed else 'FAILED'}", event="step", phase=phase, ok=passed)
        if not passed:
            break
    if failure is None:
        _say_well(client, session_id, took, out)
    else:
        _say_failed(client, failure, out)
    return failure is None


def _phases(url: str, failure: ConnectError | None) -> list[str]:
    """The steps of a connect to *url*, in order."""
    endpoint = Endpoint.parse(url)
    proxied = failure is not None and failure.phase == "proxy"
    with contextlib.suppress(ConnectError):
        proxied = proxied or choose_proxy(endpoint, None) is not None
    # Reaching the proxy is a part of its step; the CM's name is then the proxy's to look up.
    reach = ["proxy"] if proxied else ["dns", "tcp"]
    return [*reach, *(["tls"] if endpoint.secure else []), "upgrade", "register"]


def _say_well(client: Client, session_id: str, took: float, out: Output) -> None:
    options = client.options
    out.line(
        f"{options.url}: registered as {options.client_id} in {took:g} ms, session {session_id}",
        event="check",
        ok=True,
        url=options.url,
        client_id=options.client_id,
        session_id=session_id,
        connect_ms=took,
    )


def _say_failed(client: Client, failure: ConnectError, out: Output) -> None:
    refused = isinstance(failure, RegistrationError)  # by the upgrade already, perhaps
    advice = _ADVICE.get("register" if refused else failure.phase, "")
    out.line(
        f"{failure}\nwhat to do: {advice}",
        event="check",
        ok=False,
        url=client.options.url,
        phase=failure.phase,
        status_code=failure.status_code,
        error=str(failure),
        advice=advice,
    )
