"""Run the benchmarks and print the table; the exit code is 1 if something failed, however slow."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Sequence

from tests.bench.processes import Servers, cores
from tests.bench.rows import ROWS, Row
from tests.bench.running import measured
from tests.bench.scaling import draw
from tests.bench.table import drawn, machine, stolen, verdicts, written

ABOUT = """\
Runs the library beside its peers, in turn, each time in a fresh process, and prints the medians:
bare is websocket-client's recv() and json.loads; naive a reader thread, recv(), json.loads and a
thread pool; websockets its threaded client; picows (with msgspec, under asyncio) the ceiling.
Servers are other processes, which send prepared bytes. Pinned: the client has one core and the
server another; free: the kernel decides. A peer that is not installed is left out.

The exit code is 1 if something did not finish, or came twice, late or not at all. No time is
judged by it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.bench",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, help="of each (7; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="about a minute; less to be trusted")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows whose name begins so")
    parser.add_argument("--json", metavar="FILE", help="write every figure there too")
    parser.add_argument(
        "--scaling",
        metavar="DIR",
        type=Path,
        help="instead of the table, draw curves there: over calls tracked, callers and workers",
    )
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)  # does it work?
    args = parser.parse_args(argv)
    size = "tiny" if args.tiny else "quick" if args.quick else "full"
    runs = args.runs or {"tiny": 1, "quick": 1, "full": 7}[size]
    if args.scaling:
        args.scaling.mkdir(parents=True, exist_ok=True)
        return reported(draw(args.scaling, size, runs))
    rows = [row for row in ROWS if not args.only or row.name.startswith(tuple(args.only))]
    if not rows:
        parser.error(f"there are only {', '.join(row.name for row in ROWS)}")
    return table(rows, size, runs, args.json)


def table(rows: Sequence[Row], size: str, runs: int, file: str | None) -> int:
    began, before = time.monotonic(), stolen()
    facts = machine()
    versions = ", ".join(f"{name} {found or '–'}" for name, found in facts["libraries"].items())
    print(f"{facts['cpu']}, {facts['cores']} cores; Python {facts['python']}; {versions}")
    if cores() is None:
        print("There is but one core: nothing is pinned, and clients and servers share it.")
    with Servers() as servers:
        results = []
        for row in rows:
            results.append(measured(row, size, runs, servers))
            for verdict in verdicts(results[-1:]):  # for who has not the patience for the table
                print("   ", " | ".join(verdict.cells()), file=sys.stderr, flush=True)
    took = time.monotonic() - began
    kept, of_all = (after - at for after, at in zip(stolen(), before))
    print(drawn([verdict.cells() for verdict in verdicts(results)]))
    print(f"{size} size, medians of {runs} runs, {took:.0f} s")
    if kept:
        print(f"The host of this virtual machine kept {kept / of_all:.0%} of its time to itself.")
    if size != "full":
        print("Shortened (idle too, which is scaled to a minute): not to be quoted.")
    for result in results:
        for label, module in result.missing.items():
            print(f"{result.row.name}: nothing of {label}, {module} is not installed")
    failures = [
        f"{result.row.name}: {failure}" for result in results for failure in result.failures
    ]
    if file:
        how = {"size": size, "asked runs": runs, "seconds": round(took, 1), "stolen": kept}
        with open(file, "w", encoding="utf-8") as out:
            json.dump(written(results, how), out, indent=1, ensure_ascii=False)
            out.write("\n")
    return reported(failures)


def reported(failures: Sequence[str]) -> int:
    """Say what failed; returns the exit code."""
    for failure in failures:
        print("FAILED:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
