"""How long the machine runs.

In the ordinary run it takes a few seconds, always the same examples. What `.ci/run` runs is

    python -m pytest -n0 tests/model --hypothesis-profile=model

and ``--hypothesis-profile=model-long`` looks for new ones, for some minutes. A failure prints the
steps that lead to it, as few as were found; as a program they are the same.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.model.play", "tests.model.acts", "tests.model.model")

COMMON = settings(
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
ORDINARY = settings(COMMON, max_examples=15, stateful_step_count=20, derandomize=True)

settings.register_profile(
    "model", COMMON, max_examples=300, stateful_step_count=40, derandomize=True
)
settings.register_profile("model-long", COMMON, max_examples=3000, stateful_step_count=50)


@pytest.fixture
def length(request: pytest.FixtureRequest) -> settings:
    """The settings of the profile that was asked for, else those for every day."""
    profile = request.config.getoption("--hypothesis-profile", None)
    return settings() if profile else ORDINARY
