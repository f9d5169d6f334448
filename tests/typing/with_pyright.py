"""The same with pyright, which is run by name: it brings a Node.js, and fetches itself by npm.

``pytest tests/typing/with_pyright.py``
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from tests.typing.test_programs import HERE, environment, marked, run

__all__ = ["environment"]


def test_pyright(environment):
    """The same, and the package itself is clean, as `pyrightconfig.json` has it."""
    said = run(
        "pyright", "--project", str(HERE), "--pythonpath", sys.executable, "--outputjson",
        environment=environment,
    )  # fmt: skip
    report = json.loads(said)
    assert report["summary"]["filesAnalyzed"] > 60
    found, lines = defaultdict(set), []
    for one in report["generalDiagnostics"]:
        place = f"{Path(one['file']).name}:{one['range']['start']['line'] + 1}"
        found[place].add(one.get("rule", ""))
        lines.append(f"{place}: {one['message']} ({one.get('rule')})")
    assert marked()[1] == found, "\n".join(lines)
