"""What can be wrong between here and a Call Manager, and what to do about each.

The library says what happened; this table says what that means for whoever set it up. A row is
looked for by the step that failed, the HTTP status, and the library's own words.
"""

from __future__ import annotations

import re

import attrs

from telephony.errors import ConnectError


@attrs.frozen
class Fault:
    """What is wrong, in one word that stays the same, and what to do about it."""

    name: str
    advice: str


@attrs.frozen
class _Row:
    fault: Fault
    phase: str
    words: str = ""
    statuses: tuple[int, ...] = ()

    def fits(self, phase: str, status: int | None, message: str) -> bool:
        if phase != self.phase or (self.statuses and status not in self.statuses):
            return False
        return re.search(self.words, message, re.I) is not None


def _row(
    phase: str, name: str, advice: str, *, words: str = "", statuses: tuple[int, ...] = ()
) -> _Row:
    return _Row(Fault(name, advice), phase, words, statuses)


_FIREWALL = "check the port in CM_HOST, and that no firewall is in between"
_AUTHORITY = (
    "have this machine trust who signed it (SSL_CERT_FILE, update-ca-certificates), and ask "
    "who else could be answering here"
)

#: The first that fits counts; the last of a phase fits everything in it.
_ROWS = (
    _row("dns", "name_not_found",
         "look for a typing error in CM_HOST, and whether this machine can look up names"),
    _row("tcp", "connection_refused",
         "the machine is there, and nothing listens on that port: check the port in CM_HOST, and "
         "that the Call Manager runs", words="refused"),
    _row("tcp", "no_answer",
         "packets go nowhere: check the host and port in CM_HOST, and the firewalls in between",
         words="no answer|timed out"),
    _row("tcp", "unreachable", _FIREWALL),
    _row("tls", "certificate_expired",
         "have its owner renew the certificate; if it is new, check this machine's clock",
         words="not trusted:.*expired"),
    _row("tls", "certificate_not_yet_valid",
         "check this machine's clock: for it the certificate is of the future",
         words="not trusted:.*not yet valid"),
    _row("tls", "certificate_wrong_name",
         "put the name that the certificate is for into CM_HOST, not an address or an alias",
         words="not trusted:.*mismatch"),
    _row("tls", "certificate_untrusted", _AUTHORITY, words="not trusted"),
    _row("tls", "not_tls",
         "the port speaks something else: use the port for wss://, or ws:// if it is this machine",
         words="WRONG_VERSION_NUMBER|HTTP_REQUEST|RECORD|UNEXPECTED"),
    _row("tls", "tls_failed",
         "check that the port speaks TLS 1.2 or newer, and what is in between"),
    _row("proxy", "proxy_credentials",
         "put user and password into the proxy's URL, HTTPS_PROXY=http://USER:PASSWORD@HOST",
         statuses=(407,)),
    _row("proxy", "proxy_refused",
         "ask the proxy's owner to allow this host and port, or exempt the host with NO_PROXY",
         words="unexpected status"),
    _row("proxy", "proxy_invalid", "mend HTTPS_PROXY: it must look like http://HOST:PORT",
         words="environment's"),
    _row("proxy", "not_a_proxy",
         "check HTTPS_PROXY: what answers there is no HTTP proxy", words="not HTTP"),
    _row("proxy", "proxy_unreachable",
         "check host and port in HTTPS_PROXY, or exempt the Call Manager's host with NO_PROXY"),
    _row("upgrade", "unauthorized",
         "the Call Manager, or a gateway before it, wants other credentials: check AUTH_TOKEN, and "
         "that CM_HOST is the Call Manager's own address", statuses=(401,)),
    _row("upgrade", "forbidden",
         "the server knows who asks and does not let them in: check that this address may reach "
         "it, and APPID", statuses=(403,)),
    _row("upgrade", "not_found",
         "check the path in CM_HOST: without one it is /v1/ws/events; if that is right, the host "
         "is not a Call Manager", statuses=(404, 410)),
    _row("upgrade", "redirected",
         "put the address it redirects to into CM_HOST: redirects are not followed with "
         "credentials", statuses=(301, 302, 303, 307, 308)),
    _row("upgrade", "busy", "the server is there and cannot serve now: try again later",
         statuses=(429, 500, 502, 503, 504)),
    _row("upgrade", "closed",
         "something in between, or the server, ends WebSockets: check the proxies before it",
         words="closed|reset"),
    _row("upgrade", "no_answer", "the server accepts connections and says nothing: is it a web "
         "server, and a Call Manager? check host and port in CM_HOST", words="no answer"),
    _row("upgrade", "not_a_call_manager",
         "a server answers, but not as a Call Manager: check host and port in CM_HOST"),
    _row("register", "not_registered",
         "the Call Manager did not finish the registration: try again, and tell its owner when "
         "it was"),
)

NOT_A_CALL_MANAGER = Fault(
    "not_a_call_manager",
    "a WebSocket server answers, and it does not greet as a Call Manager does: check host and "
    "path in CM_HOST",
)

WRONG_APP_ID = Fault(
    "wrong_app_id",
    "AUTH_TOKEN is right: it was taken for MULTI; check APPID, and that the App ID is one of "
    "the account's",
)
WRONG_TOKEN = Fault("wrong_token", "check AUTH_TOKEN: the Call Manager named it as what is wrong")
WRONG_CREDENTIALS = Fault(
    "wrong_credentials",
    "the Call Manager says the same of a wrong token and of a wrong App ID: check AUTH_TOKEN, "
    "then that APPID is an App ID of the same account",
)
NO_ANSWER_TO_COMMANDS = Fault(
    "no_answer_to_commands",
    "it registered this client, and does not answer its commands: try again, and tell its owner",
)
DID_NOT_SERVED = Fault(
    "did_not_served",
    "check DID for a typing error, and that the number is assigned to this App ID at the "
    "Call Manager",
)


def fault_of(error: ConnectError, *, greeted: bool) -> Fault:
    """What is wrong when connecting failed; *greeted*: after the Call Manager's first words.

    A refused registration is not told apart here, see `check`.
    """
    if error.phase == "register" and not greeted:
        return NOT_A_CALL_MANAGER
    message = str(error)
    fitting = (row for row in _ROWS if row.fits(error.phase, error.status_code, message))
    return next(fitting).fault
