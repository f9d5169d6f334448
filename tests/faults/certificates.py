"""Certificates for servers on this machine: good ones, and each kind of bad one.

One certificate authority is made for the whole run: making keys takes time.
"""

from __future__ import annotations

import datetime
import functools
import ssl

import trustme

_DAY = datetime.timedelta(days=1)
_PAST = datetime.datetime(2020, 1, 1)
_FUTURE = datetime.datetime(2100, 1, 1)
HOSTS = ("127.0.0.1", "localhost")


@functools.cache
def authority() -> trustme.CA:
    """The authority that `client_context` trusts."""
    return trustme.CA()


@functools.cache
def _stranger() -> trustme.CA:
    return trustme.CA()


@functools.cache
def client_context() -> ssl.SSLContext:
    """What a client needs to trust `authority`."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def _serving(cert: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return context


@functools.cache
def server_context(kind: str = "good") -> ssl.SSLContext:
    """A server's context; ``kind`` says what is wrong with its certificate."""
    if kind == "self-signed":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca = _stranger()
        with ca.private_key_pem.tempfile() as key, ca.cert_pem.tempfile() as cert:
            context.load_cert_chain(cert, key)
        return context
    if kind == "unknown authority":
        return _serving(_stranger().issue_cert(*HOSTS))
    if kind == "wrong host":
        return _serving(authority().issue_cert("other.example"))
    if kind == "expired":
        return _serving(authority().issue_cert(*HOSTS, not_before=_PAST, not_after=_PAST + _DAY))
    if kind == "not yet valid":
        return _serving(
            authority().issue_cert(*HOSTS, not_before=_FUTURE, not_after=_FUTURE + _DAY)
        )
    return _serving(authority().issue_cert(*HOSTS))


@functools.cache
def old_server_context() -> ssl.SSLContext:
    """A good certificate, on a server that knows no TLS newer than 1.1."""
    context = _serving(authority().issue_cert(*HOSTS))
    context.set_ciphers("ALL:@SECLEVEL=0")  # today's OpenSSL would not speak it otherwise
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@functools.cache
def asking_server_context(newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A server that wants a certificate of its clients."""
    context = _serving(authority().issue_cert(*HOSTS))
    context.maximum_version = newest
    context.verify_mode = ssl.CERT_REQUIRED
    authority().configure_trust(context)
    return context


def named_client_context() -> ssl.SSLContext:
    """A client with a certificate of its own."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    authority().issue_cert("client@example.org").configure_cert(context)
    return context
