"""Every code block of ``docs/`` is run: ``pytest tests/docs/every_page.py``.

By name, because it takes minutes: servers are started, and suites run, as the pages say. Those of
pages that need a Redis are run by ``pytest tests/docs/served_pages.py``.
"""

from __future__ import annotations

import pytest

from tests.docs.drivers import drivers
from tests.docs.play import Output, Play
from tests.docs.rst import README, Block
from tests.docs.test_blocks import PAGES, SERVED, blocks_of


ELSEWHERE = {README, *SERVED}


@pytest.mark.parametrize("block", blocks_of(*(page for page in PAGES if page not in ELSEWHERE)))
def test_block(block: Block, play: Play, output: Output) -> None:
    """It runs as it is written, and does what the text around it says."""
    drivers(block.page)[block.name](block, play, output)
