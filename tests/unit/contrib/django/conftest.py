"""A Django project for these tests, on SQLite in a file: callbacks have threads of their own."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

import django
import pytest
from django.conf import settings as configured

from telephony import Client
from telephony.sandbox import Sandbox
from tests.scripted import Recorded

#: What the tests' gateway sends as Authorization.
SECRET = "Bearer of-the-gateway"

_folder = Path(tempfile.mkdtemp(prefix="telephony-django-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

if not configured.configured:
    configured.configure(
        SECRET_KEY="of the tests",
        USE_TZ=True,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.unit.contrib.django.urls",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(_folder / "db.sqlite3"),
                "OPTIONS": {"timeout": 30},
                "TEST": {"NAME": str(_folder / "test.sqlite3")},
            },
            "other": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(_folder / "other.sqlite3"),
                "OPTIONS": {"timeout": 30},
                "TEST": {"NAME": str(_folder / "test-other.sqlite3")},
            },
        },
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "telephony.contrib.django",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        TELEPHONY={},
    )
    django.setup()

from django.core.cache import cache  # noqa: E402 - once the settings are there
from django.dispatch import Signal  # noqa: E402

from telephony.contrib.django import close_client, get_client  # noqa: E402


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the environment says is not to decide what a test sees; nothing is kept between two."""
    for name in ("CM_HOST", "AUTH_TOKEN", "APPID", "CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    cache.clear()
    yield
    close_client(drain=30)


@pytest.fixture
def account(no_account: None, cm: Sandbox, settings: Any) -> Iterator[dict[str, Any]]:
    """``TELEPHONY`` leads to ``cm``; change it by ``settings.TELEPHONY = {**account, …}``."""
    settings.TELEPHONY = {
        "HOST": cm.url,
        "AUTH_TOKEN": cm.auth_token,
        "APP_ID": cm.app_id,
        "CONNECT_TIMEOUT": 30,
        "WEBHOOK_SECRET": SECRET,
    }
    yield settings.TELEPHONY
    close_client(drain=30)


@pytest.fixture
def phone(account: dict[str, Any]) -> Client:
    """The process's client, connected."""
    return get_client()


@pytest.fixture
def heard() -> Iterator[Callable[..., Recorded]]:
    """A function that connects a receiver which keeps the events of a signal."""
    connected: list[tuple[Signal, Any]] = []

    def hear(signal: Signal, answer: Callable[[Any], Any] | None = None) -> Recorded:
        events = Recorded()

        def receiver(sender: type, event: Any, source: str, **_: Any) -> Any:
            assert sender is type(event)
            try:
                return answer(event) if answer is not None else None
            finally:
                events(event)

        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))
        return events

    yield hear
    close_client(drain=30)
    for signal, receiver in connected:
        signal.disconnect(receiver)
