"""Measure the library at size; the exit code is 1 if something failed, however slow."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Sequence

import attrs

from tests.bench.__main__ import reported
from tests.bench.processes import Servers
from tests.bench.scale.measuring import SIZES, measured
from tests.bench.scale.paper import Facts, papers
from tests.bench.table import machine, stolen

ABOUT = """\
Worker processes, each with one client, share the calls of one stand-in for the Call Manager, which
is a process of its own. At every number of processes and of calls it measures the same number of
commands a second, and then of events, over all of them; what is compared is measured in one round.
After that inbound calls are offered to more and more clients. It prints tables; with --write they
become files, with charts, for the page docs/understand/size.rst.

The exit code is 1 if something did not finish, or was lost, or came twice or out of order. No time
is judged by it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.bench.scale",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, help="rounds (3; with --quick 1)")
    parser.add_argument("--quick", action="store_true", help="within a minute; not to be quoted")
    parser.add_argument("--write", metavar="DIR", type=Path, help="write tables and charts there")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure there too")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)  # does it work?
    args = parser.parse_args(argv)
    name = "tiny" if args.tiny else "quick" if args.quick else "full"
    size = attrs.evolve(SIZES[name], runs=args.runs or SIZES[name].runs)
    began, before = time.monotonic(), stolen()
    with Servers("tests.bench.scale.server") as servers:
        found = measured(size, servers)
    kept, of_all = (after - at for after, at in zip(stolen(), before))
    facts = Facts(name, time.monotonic() - began, kept / of_all if of_all else 0.0)
    if not found.failures:  # else there may be no figure for a cell
        files = papers(found, size, facts)
        for file, text in files.items():
            if file.endswith(".txt"):
                print(text)
        if args.write:
            args.write.mkdir(parents=True, exist_ok=True)
            for file, text in files.items():
                (args.write / file).write_text(text, encoding="utf-8")
    if args.json:
        told = {"machine": machine(), **attrs.asdict(facts), **attrs.asdict(found)}
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return reported(found.failures)


if __name__ == "__main__":
    sys.exit(main())
