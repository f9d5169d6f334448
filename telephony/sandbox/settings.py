"""What one sandbox serves and whom it lets in, checked once and never changed."""

from __future__ import annotations

import hmac
import ipaddress
from typing import Iterable, Mapping

import attrs

from telephony.errors import InvalidArgumentError

DEFAULT_AUTH_TOKEN = "Basic c2FuZGJveDpzYW5kYm94"
DEFAULT_APP_ID = "sandbox-app"
MULTI = "MULTI"


def digits_of(number: str) -> str:
    """Return what counts in a phone number: its ASCII digits, and nothing else."""
    return "".join(character for character in number if character in "0123456789")


def is_loopback(host: str) -> bool:
    """Return whether ``host`` names this machine only. A name other than localhost does not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@attrs.frozen(repr=False)
class Settings:
    """The App IDs, their tokens and their DIDs.

    ``tokens`` holds the App IDs with a token of their own; the others, and MULTI, use
    ``auth_token``. ``dids`` maps the digits of a DID to the App IDs that own it, or is None
    when there is no allow-list; then ``loop_back`` holds the digits of what loops back anyway.
    """

    auth_token: str
    app_ids: tuple[str, ...]
    tokens: Mapping[str, str]
    dids: Mapping[str, tuple[str, ...]] | None
    loop_back: frozenset[str]
    dtmf_echo: str
    lookup_hold: float
    respond: str

    def token_of(self, app_id: str) -> str | None:
        """Return the token that opens ``app_id`` (or MULTI), or None if it is not served."""
        if app_id == MULTI:
            return self.auth_token
        if app_id not in self.app_ids:
            return None
        return self.tokens.get(app_id, self.auth_token)

    def authorised(self, app_id: str, token: str) -> bool:
        """Return whether ``token`` opens ``app_id``, taking equally long for every wrong one."""
        expected = self.token_of(app_id)
        return expected is not None and hmac.compare_digest(expected.encode(), token.encode())

    def known_token(self, token: str) -> bool:
        """Return whether ``token`` opens anything here."""
        return any(self.authorised(app_id, token) for app_id in (MULTI, *self.app_ids))


def settle(
    *,
    host: str,
    auth_token: str,
    app_ids: Iterable[str] | str | None,
    tokens: Mapping[str, str] | None,
    dids: Mapping[str, Iterable[str]] | Iterable[str] | None,
    loop_back: Iterable[str],
    dtmf_echo: str,
    lookup_hold: float,
    respond: str,
) -> Settings:
    """Return the checked settings; raises `InvalidArgumentError` naming what is wrong."""
    tokens = dict(tokens or {})
    apps = _apps(app_ids, tokens, dids)
    for name, token in (("auth_token", auth_token), *(("tokens", t) for t in tokens.values())):
        if not isinstance(token, str) or not token.strip():
            raise InvalidArgumentError(f"{name} must be a string that is not empty")
        if token == DEFAULT_AUTH_TOKEN and not is_loopback(host):
            raise InvalidArgumentError(
                f"{name} must be one of your own when host is {host!r}: the default one is"
                " public, and others could reach this sandbox"
            )
    if dtmf_echo not in ("whole", "digits"):
        raise InvalidArgumentError(f"dtmf_echo must be 'whole' or 'digits', not {dtmf_echo!r}")
    if respond not in ("answer", "early"):
        raise InvalidArgumentError(f"respond must be 'answer' or 'early', not {respond!r}")
    return Settings(
        auth_token=auth_token,
        app_ids=apps,
        tokens=tokens,
        dids=_allow_list(apps, dids),
        loop_back=frozenset(digits_of(number) for number in loop_back),
        dtmf_echo=dtmf_echo,
        lookup_hold=lookup_hold,
        respond=respond,
    )


def _apps(
    app_ids: Iterable[str] | str | None,
    tokens: Mapping[str, str],
    dids: Mapping[str, Iterable[str]] | Iterable[str] | None,
) -> tuple[str, ...]:
    """Return the App IDs served: the given ones, else those that other options speak of."""
    named = list(tokens) + (list(dids) if isinstance(dids, Mapping) else [])
    if app_ids is None:
        apps = tuple(dict.fromkeys(named)) or (DEFAULT_APP_ID,)
    else:
        apps = (app_ids,) if isinstance(app_ids, str) else tuple(dict.fromkeys(app_ids))
    if not apps or not all(isinstance(app, str) and app and app != MULTI for app in apps):
        raise InvalidArgumentError("app_ids must be App IDs: not none, not empty, not MULTI")
    for app in named:
        if app not in apps:
            raise InvalidArgumentError(f"tokens and dids speak of {app!r}, not one of app_ids")
    return apps


def _allow_list(
    apps: tuple[str, ...], dids: Mapping[str, Iterable[str]] | Iterable[str] | None
) -> Mapping[str, tuple[str, ...]] | None:
    if dids is None:
        return None
    if isinstance(dids, str):
        dids = [dids]
    by_app = dids if isinstance(dids, Mapping) else {apps[0]: dids}
    owners: dict[str, tuple[str, ...]] = {}
    for app, numbers in by_app.items():
        for number in [numbers] if isinstance(numbers, str) else numbers:
            digits = digits_of(number)
            if not digits:
                raise InvalidArgumentError(f"dids holds {number!r}, which is no number")
            owners[digits] = owners.get(digits, ()) + (app,)
    return owners
