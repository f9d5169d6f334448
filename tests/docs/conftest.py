"""Fixtures for the tests of the documents."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import OURS
from tests.conftest import PATIENT
from tests.docs.play import Output, Play


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sandbox]]:
    """A function that starts a sandbox, and sets the environment to it as a user would."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> Sandbox:
            sandbox = stack.enter_context(Sandbox(**{**PATIENT, **settings}))
            monkeypatch.setenv("CM_HOST", sandbox.url)
            monkeypatch.setenv("AUTH_TOKEN", sandbox.auth_token)
            monkeypatch.setenv("APPID", sandbox.app_id)
            return sandbox

        yield start


@pytest.fixture
def play(
    environment: Callable[..., Sandbox],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Play]:
    """What the drivers need."""
    playing = Play(environment, tmp_path, caplog, monkeypatch)
    yield playing
    playing.close()


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    """What was printed since it was asked for last."""
    return lambda: capsys.readouterr().out
