"""Every code block of README.rst and of ``docs/`` does what its page says.

Blocks are known by their ``:name:``. How each is run, and what has to come of it, is written in
`tests.docs.drivers`; a block that nothing there knows how to run fails, and so does what is there
for a block that is gone. Those of README.rst are run here; those of ``docs/``, which take minutes,
by ``pytest tests/docs/every_page.py``, and where they need a Redis by
``pytest tests/docs/served_pages.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.docs.drivers import drivers, module_of
from tests.docs.play import Output, Play
from tests.docs.rst import DOCS, README, ROOT, Block, blocks, pages, read, sphinx

PAGES = pages()
#: those with programs that need a server which is not everywhere
SERVED = [DOCS / "howto" / "celery.rst"]


def title(page: Path) -> str:
    """What a page is called in a test's name."""
    return page.relative_to(ROOT).with_suffix("").as_posix().removeprefix("docs/")


def blocks_of(*some: Path) -> list[Any]:
    """Every block of these pages, as a parameter."""
    return [
        pytest.param(block, id=f"{title(page)}:{block.name or block.line}")
        for page in some
        for block in blocks(page)
    ]


@pytest.mark.parametrize("block", blocks_of(README))
def test_block(block: Block, play: Play, output: Output) -> None:
    """It runs as it is written, and does what the text around it says."""
    drivers(block.page)[block.name](block, play, output)


@pytest.mark.parametrize("block", blocks_of(*PAGES))
def test_every_block_has_its_driver(block: Block) -> None:
    """It has a name, and somebody knows how to run it."""
    assert block.name, f"the block on line {block.line} has no :name:"
    known = drivers(block.page)
    assert block.name in known, f"{module_of(block.page)} does not know how to run {block.name}"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_driver_has_its_block(page: Path) -> None:
    """What the drivers know how to run is on the page, and each name is there once."""
    names = [block.name for block in blocks(page)]
    assert set() == set(drivers(page)) - set(names)
    assert len(set(names)) == len(names)


def test_pages_that_need_servers_are_there() -> None:
    """Or their blocks would be run nowhere, unnoticed."""
    assert set() == set(SERVED) - set(PAGES)


def test_every_module_of_drivers_has_its_page() -> None:
    """None is left over from a page that was moved."""
    folder = ROOT / "tests" / "docs" / "drivers"
    there = {path for path in folder.rglob("*.py") if "__init__.py" != path.name}
    wanted = {(ROOT / module_of(page).replace(".", "/")).with_suffix(".py") for page in PAGES}
    assert set() == there - wanted


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_nothing_on_the_page_is_lost(page: Path) -> None:
    """A block with a mistake around it would not be found: there is none."""
    with sphinx():
        assert "" == read(page)[1]


BROKEN = """\
.. toctree::
   :maxdepth: 1

   elsewhere

See :doc:`elsewhere` and :ref:`there <here>`.

.. include:: {readme}
   :start-after: What it is

.. code-block:: python
   :name: one
   :caption: one.py
   :emphasize-lines: 1

   one()

.. versionadded:: 1.0

   .. code-block:: sh

      two

Three::

   three
"""


def test_blocks_are_found(tmp_path: Path) -> None:
    """Among what is Sphinx's, inside of it, without a name; not those that are included."""
    page = tmp_path / "page.rst"
    page.write_text(BROKEN.format(readme=ROOT / "README.rst"), "utf-8")

    found = blocks(page)

    assert [("one", "one.py", "python"), ("", "", "sh"), ("", "", "")] == [
        (block.name, block.caption, block.language) for block in found
    ]
    lines = page.read_text("utf-8").splitlines()
    assert ["one()", "two", "three"] == [lines[block.line - 1].strip() for block in found]
