"""One measurement in a process of its own: ``python -m tests.bench.worker '{…}'``.

Imports no more than what is measured needs: what this process is made of counts too.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import Any

from tests.bench.measures import MEASURES, Figures
from tests.bench.subjects import Missing, Place, make


def measured(
    measure: str, subject: str, url: str, authority: str | None, options: dict[str, Any]
) -> Figures:
    """The figures of one measurement, here."""
    maker = functools.partial(make, subject, Place(url, authority))
    return MEASURES[measure](maker, **options)


def main(told: str) -> None:
    asked = json.loads(told)
    core, needs = asked.pop("core"), asked.pop("needs")
    if core is not None:
        os.sched_setaffinity(0, {core})
    if needs != "orjson":
        sys.modules["orjson"] = None  # type: ignore[assignment]  # so the library finds none
    try:
        figures: dict[str, Any] = measured(**asked)
    except Missing as missing:
        figures = {"missing": str(missing)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
