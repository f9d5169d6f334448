"""Patch first, then import anything else, then run pytest."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import sys  # noqa: E402

import pytest  # noqa: E402

from tests.patched import SUITE  # noqa: E402

arguments = sys.argv[1:]
chosen = [one for one in arguments if os.path.exists(one.partition("::")[0])]
sys.exit(
    pytest.main(
        [
            "-p", "tests.patched.plugin",
            "--numprocesses", "0",
            "--timeout", "0",  # its signal is lost in the hub; the plugin has its own
            *arguments,
            *([] if chosen else SUITE),
        ]
    )  # fmt: skip
)
