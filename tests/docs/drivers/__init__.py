"""How each code block of README.rst and ``docs/`` is run, a module for each page.

The block ``first-call`` of ``docs/start/first-call.rst`` is run by the function ``first_call`` in
``tests/docs/drivers/start/first_call.py``, which is given the block, a ``tests.docs.play.Play``,
and a function that returns what was printed. It asserts what the page says of the block. All
public functions that a module defines are drivers.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import Any, Callable

from tests.docs.play import Output, Play
from tests.docs.rst import DOCS, README, Block

Driver = Callable[[Block, Play, Output], None]


def module_of(page: Path) -> str:
    """The name of the module with the page's drivers."""
    path = Path("readme") if page == README else page.relative_to(DOCS).with_suffix("")
    return ".".join([__name__, *(part.replace("-", "_") for part in path.parts)])


def drivers(page: Path) -> dict[str, Driver]:
    """A page's drivers, by the name of their block; none if it has no module."""
    name = module_of(page)
    parent = name.rpartition(".")[0]
    if importlib.util.find_spec(parent) is None or importlib.util.find_spec(name) is None:
        return {}
    module = importlib.import_module(name)
    return {
        attribute.replace("_", "-"): value
        for attribute, value in vars(module).items()
        if not attribute.startswith("_") and _defined_in(module, value)
    }


def _defined_in(module: Any, value: Any) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__
