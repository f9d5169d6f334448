"""Every code block of the pages that need servers: ``pytest tests/docs/served_pages.py``.

They are run where there is a Redis, by ``.ci/distributed``.
"""

from __future__ import annotations

import pytest

from tests.docs.drivers import drivers
from tests.docs.play import Output, Play
from tests.docs.rst import Block
from tests.docs.test_blocks import SERVED, blocks_of


@pytest.mark.parametrize("block", blocks_of(*SERVED))
def test_block(block: Block, play: Play, output: Output) -> None:
    """It runs as it is written, and does what the text around it says."""
    drivers(block.page)[block.name](block, play, output)
