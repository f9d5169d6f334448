"""Whether a DID's calls reach this client, found out without disturbing another.

The Call Manager takes a subscription to any number: whom a call is offered to is decided when it
comes, by the App ID that the DID belongs to, and then by the subscriptions. So nothing that a
client is answered tells whose a DID is. What does is the gateway's own question, a lookup: it is
refused as not found where no eligible client is there, and else offered to *all* eligible
clients as an incoming call, which any of them may accept. It is therefore asked only if the
Call Manager's list of clients shows nobody else who could be offered that call; this client
rejects it. Where the list or the lookup cannot be had, it is not known.

The sandbox takes any subscription for the same reason, see `telephony.sandbox.commands`.
"""

from __future__ import annotations

import enum
import json
import threading
import uuid
from typing import TYPE_CHECKING, Any

import attrs

from telephony.client import Client
from telephony.errors import CommandRefusedError, TelephonyError
from telephony.protocol.events import CallIncoming
from telephony.runtime.handshake import Endpoint, choose_proxy

if TYPE_CHECKING:
    import http.client

_CALLER = "0"
_REASON = "telephony check"
#: A Call Manager's answers are short, or they are none.
_BODY_MOST = 1 << 20


class Served(enum.Enum):
    """Whether a DID's calls reach a client."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@attrs.frozen
class Finding:
    """What was found, and in words why."""

    served: Served
    why: str


def ask_who_serves(client: Client, endpoint: Endpoint, did: str, timeout: float) -> Finding:
    """Find out whether calls to *did* reach the connected *client*.

    Blocks up to *timeout* seconds for each of three requests. *endpoint* is the client's.
    """
    by_hand = f"to see it, run `telephony listen --did {did}` and phone the number"
    api = _HttpApi(client, endpoint, timeout)
    try:
        client.subscribe([did])
    except CommandRefusedError as error:
        return Finding(Served.NO, str(error))
    except TelephonyError as error:
        return Finding(Served.UNKNOWN, f"{error}; {by_hand}")
    clients = api.clients()
    if clients is None:
        return Finding(Served.UNKNOWN, f"the CM does not list its clients; {by_hand}")
    digits = _digits(did)
    ours = [each for each in clients if each.client_id == client.options.client_id]
    if not any(digits in each.numbers for each in ours):
        return Finding(
            Served.NO, "the CM took the subscription, and does not list it for this client"
        )
    others = [each for each in clients if each not in ours and digits in (each.numbers or digits)]
    if others:
        names = f"{len(others)} more client{'s' if len(others) > 1 else ''}"
        return Finding(
            Served.UNKNOWN, f"{names} would be offered a call to it, so none was tried; {by_hand}"
        )
    return _asked_as_a_gateway(client, api, did, by_hand)


def _asked_as_a_gateway(client: Client, api: _HttpApi, did: str, by_hand: str) -> Finding:
    call_id = f"check-{uuid.uuid4()}"
    offered = threading.Event()

    @client.on(CallIncoming)
    def turn_away(event: CallIncoming) -> None:
        if event.call.call_id == call_id:
            offered.set()
            event.call.reject(_REASON)

    try:
        status, answer = api.lookup(did, call_id)
    finally:
        client.off(turn_away)
    if offered.is_set():
        return Finding(Served.YES, "a call to it was offered to this client, which rejected it")
    if status == 500 and "not found" in str(answer.get("error", "")):
        return Finding(Served.NO, "the CM has no client for calls to it, this one included")
    what = f"answered the lookup with HTTP {status}" if status else "takes no lookup from here"
    return Finding(Served.UNKNOWN, f"the CM {what}; {by_hand}")


def _digits(number: str) -> str:
    return "".join(c for c in number if c in "0123456789")


@attrs.frozen
class _Registered:
    client_id: str
    numbers: tuple[str, ...]


class _HttpApi:
    """The two questions that the Call Manager answers over HTTP, to whoever asks: no token."""

    def __init__(self, client: Client, endpoint: Endpoint, timeout: float) -> None:
        self._context = client.options.connection.transport.ssl_context
        self._endpoint = endpoint
        self._timeout = timeout

    def clients(self) -> list[_Registered] | None:
        """Who is registered and for which numbers (none: for all); None if that is not told."""
        status, answer = self._ask("GET", "/v1/api/websocket-status")
        found = answer.get("clients")
        if status != 200 or not isinstance(found, list):
            return None
        clients = []
        for each in found:
            numbers = each.get("subscribed_numbers") if isinstance(each, dict) else None
            if not isinstance(each, dict) or not isinstance(numbers or [], list):
                return None
            digits = tuple(_digits(str(number)) for number in numbers or [])
            clients.append(_Registered(str(each.get("client_id", "")), digits))
        return clients

    def lookup(self, did: str, call_id: str) -> tuple[int, dict[str, Any]]:
        """Ask as a gateway does with whom a call to *did* is to be connected."""
        fields = {"action": "lookup", "did": did, "pin": "", "callerid": _CALLER, "callid": call_id}
        return self._ask("POST", "/v1/api/service", fields)

    def _ask(
        self, method: str, path: str, fields: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and object of an answer; (0, {}) if there is none."""
        from http.client import HTTPException

        headers = {"Content-Type": "application/json"} if fields is not None else {}
        body = None if fields is None else json.dumps(fields)
        connection = self._connection()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read(_BODY_MOST))
            return response.status, answer if isinstance(answer, dict) else {}
        except (OSError, HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        """On the way that the client's connection takes, through the same proxy."""
        import ssl
        from http.client import HTTPConnection, HTTPSConnection

        endpoint = self._endpoint
        proxy = choose_proxy(endpoint, None)
        host, port = (endpoint.host, endpoint.port) if proxy is None else (proxy.host, proxy.port)
        connection: HTTPConnection
        if endpoint.secure:
            context = self._context or ssl.create_default_context()
            connection = HTTPSConnection(host, port, timeout=self._timeout, context=context)
        else:
            connection = HTTPConnection(host, port, timeout=self._timeout)
        if proxy is not None:
            headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
            connection.set_tunnel(endpoint.host, endpoint.port, headers)
        return connection
