import pytest

pytest.register_assert_rewrite(
    "tests.docs.drivers", "tests.docs.play", "tests.docs.shell", "tests.docs.web"
)
