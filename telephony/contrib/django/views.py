"""What the gateway posts: events, and lookups. To be included by ``telephony.contrib.django.urls``.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import (
    sensitive_variables,
)
from django.views.decorators.http import require_POST

from telephony.contrib.django.client import current_client, get_client
from telephony.contrib.django.configuration import Configuration, imported
from telephony.contrib.django.delivery import deliver
from telephony.contrib.webhooks import DELIVERY_HEADER, Reply, Webhooks
from telephony.errors import InvalidArgumentError
from telephony.protocol.events import Event

#: What the log names when webhooks are refused.
SECRET = 'TELEPHONY["WEBHOOK_SECRET"]'


class _Commands:
    """The process's client for what is known from a webhook: connected once a command is sent."""

    def call(self, call_id: str) -> Any:
        client = current_client()
        return None if client is None else client.call(call_id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(get_client(), name)


def _deliver(event: Event) -> None:
    deliver(event, "webhook")


@functools.lru_cache(maxsize=4)  # for tests that change the setting
@sensitive_variables("secret")  # type: ignore[untyped-decorator]
def _webhooks(secret: str, lookup: str) -> Webhooks:
    try:
        return Webhooks(
            secret,
            on_event=_deliver,
            lookup=imported("LOOKUP", lookup) if lookup else None,
            seen=cache,
            client=_Commands(),
            setting=SECRET,
        )
    except InvalidArgumentError as error:
        raise ImproperlyConfigured(str(error)) from None


@sensitive_variables("authorization")  # type: ignore[untyped-decorator]
def _answered(
    request: HttpRequest, answer: Callable[[Webhooks, str | None, bytes], Reply]
) -> JsonResponse:
    configuration = Configuration.read()
    webhooks = _webhooks(configuration.webhook_secret, configuration.lookup)
    authorization = request.headers.get("Authorization")
    try:
        length: int | None = int(request.headers.get("Content-Length") or "")
    except ValueError:
        length = None
    reply = webhooks.refusal(authorization, length)
    if reply is None:
        try:
            body = _body(request, length, webhooks.max_body + 1)
        except OSError:  # Django's, too
            reply = Reply(400, {"error": "the body broke off"})
        else:
            if body is None:
                reply = Reply(411, {"error": "a Content-Length is needed"})
            else:
                reply = answer(webhooks, authorization, body)
    response = JsonResponse(reply.body, status=reply.status)
    response["Cache-Control"] = "no-store"
    return response


def _body(request: HttpRequest, length: int | None, most: int) -> bytes | None:
    """*most* bytes of the body at most; None where nothing tells its end.

    Of a chunked one, which has no length, Django reads nothing under WSGI.
    """
    environ = getattr(request, "environ", None)
    if length is not None or environ is None:  # ASGI has read it all
        body: bytes = request.read(most)
        return body
    if not environ.get("wsgi.input_terminated"):
        return None
    parts: list[bytes] = []
    while most > 0 and (part := environ["wsgi.input"].read(most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


# An event that was recorded is told to receivers, which see it in the database: no transaction of
# the request's own may be around both.
@csrf_exempt  # type: ignore[untyped-decorator]
@require_POST  # type: ignore[untyped-decorator]
@transaction.non_atomic_requests  # type: ignore[untyped-decorator]
def events(request: HttpRequest) -> JsonResponse:
    """Take an event: it goes to the records and, if it was not known, to the signals."""
    delivery_id = request.headers.get(DELIVERY_HEADER)
    return _answered(
        request, lambda webhooks, given, body: webhooks.event(given, body, delivery_id=delivery_id)
    )


@csrf_exempt  # type: ignore[untyped-decorator]
@require_POST  # type: ignore[untyped-decorator]
def lookup(request: HttpRequest) -> JsonResponse:
    """Tell which channel a caller belongs to, as the function ``TELEPHONY["LOOKUP"]`` says."""
    return _answered(request, Webhooks.lookup)
