"""Runs the contenders of a row in turn, so that what disturbs one disturbs all."""

from __future__ import annotations

import importlib.util
import sys

from tests.bench.processes import Failed, Servers, cores, work
from tests.bench.rows import Contender, Row
from tests.bench.table import Result


def measured(row: Row, size: str, runs: int, servers: Servers) -> Result:
    """One row. A contender that failed is not run again."""
    result = Result(row)
    contenders = list(row.contenders)
    for number in range(1, row.runs(runs) + 1):
        print(f"{row.name} {number}/{row.runs(runs)}", file=sys.stderr, flush=True)
        for contender in list(contenders):
            try:
                result.add(contender.label, _one(row, contender, size, servers))
            except Failed as failure:
                result.failures.append(f"{contender.label}: {failure}")
                contenders.remove(contender)
            if contender.label in result.missing:
                contenders.remove(contender)
    return result


def _one(row: Row, contender: Contender, size: str, servers: Servers) -> dict[str, object]:
    """The figures of one run."""
    if contender.subject == "ours" and row.needs and not importlib.util.find_spec(row.needs):
        return {"missing": row.needs}
    pins = cores() if row.pinned else None
    client, server = pins or (None, None)
    return work(
        row.measure,
        contender.subject,
        servers.place(row.tls, server),
        row.options(size, contender),
        client,
        row.needs,
        servers.bytecode(),
    )
