"""``python -m tests.fuzz --inputs 100000 [--seed S]``: frames of all kinds, most of them bad.

With ``--case`` (as a failure prints it) only that case is run. ``--atheris [MINUTES]`` has
atheris choose the inputs by what they reach in the code; it must be installed for that.
"""

from __future__ import annotations

import argparse
import random
import sys


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--case", metavar="TARGET/NUMBER")
    parser.add_argument("--atheris", metavar="MINUTES", type=float, nargs="?", const=5.0)
    options = parser.parse_args(arguments)
    if options.atheris is not None:
        from tests.fuzz.guided import run_guided

        return run_guided(options.atheris)
    # Only now: atheris must be there before what it is to watch is imported.
    from tests.fuzz.campaign import Failure, run, run_case

    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    try:
        if options.case:
            target, _, number = options.case.partition("/")
            run_case(target, seed, int(number))
            print(f"{options.case} with seed {seed}: taken in")
        else:
            print(run(options.inputs, seed, processes=2))
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
