"""Client and sandbox against the model, see `machine` and `model`."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Machine


@pytest.mark.timeout(1800)  # a failure takes minutes to be made small
def test_the_client_agrees_with_the_model(length: settings) -> None:
    """Whatever happens, in whatever order: the same calls, the same events, the same commands."""
    run_state_machine_as_test(Machine, settings=length)
