"""Fixtures for the tests of the documents."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator

import pytest

from telephony.sandbox import Sandbox


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sandbox]]:
    """A function that starts a sandbox, and sets the environment to it as a user would."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> Sandbox:
            sandbox = stack.enter_context(Sandbox(time_scale=50, **settings))
            monkeypatch.setenv("CM_HOST", sandbox.url)
            monkeypatch.setenv("AUTH_TOKEN", sandbox.auth_token)
            monkeypatch.setenv("APPID", sandbox.app_id)
            monkeypatch.delenv("CLIENT_ID", raising=False)
            return sandbox

        yield start
