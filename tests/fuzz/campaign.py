"""Many cases from one seed, and how to repeat the one that failed."""

from __future__ import annotations

import concurrent.futures
import math
import random
import time
import traceback
from typing import Callable, Sequence

from tests.fuzz.stream import Stream
from tests.fuzz.talk import MESSAGES, Talk

#: In the order in which they take turns: what it is, and how many inputs one case is.
TARGETS: dict[str, tuple[Callable[[random.Random], Talk | Stream], int]] = {
    "session": (Talk, MESSAGES),
    "frames": (Stream, 1),
}
#: For so many messages to a session there is one stream of frames.
ONE_IN = 10
SHOWN = 2000


class Failure(Exception):
    """One case failed; the text says which input did it, and how to repeat it."""


def run_case(target: str, seed: int, number: int) -> int:
    """One case; the number of its inputs. Raises ``Failure``."""
    make, inputs = TARGETS[target]
    case = make(random.Random(f"{target}/{seed}/{number}"))
    try:
        case.run()
    except Exception as error:
        culprit: str | bytes
        if isinstance(case, Talk):
            culprit = case.messages[-1] if case.messages else ""
            where = f"its message {len(case.messages)} of {inputs}, or what was done after it"
        else:
            culprit, where = case.data, f"{len(case.data)} bytes"
        shown = repr(culprit)
        if len(shown) > SHOWN:
            shown = f"{shown[:SHOWN]}… ({len(culprit)} characters)"
        raise Failure(
            f"{traceback.format_exc()}\n"
            f"{target}, case {number}, {where}:\n{shown}\n{type(error).__name__}: {error}\n"
            f"to repeat it: python -m tests.fuzz --seed {seed} --case {target}/{number}"
        ) from None
    return inputs


def run_cases(target: str, seed: int, numbers: Sequence[int]) -> int:
    return sum(run_case(target, seed, number) for number in numbers)


def run(inputs: int, seed: int, processes: int = 1) -> str:
    """*inputs* messages, and streams of frames besides; a line that says what was done.

    Raises ``Failure``.
    """
    began = time.monotonic()
    parts: list[tuple[str, int, range]] = []
    for target, (_, size) in TARGETS.items():
        cases = math.ceil((inputs // ONE_IN if target == "frames" else inputs) / size)
        step = math.ceil(cases / 20)
        parts += [
            (target, seed, range(first, min(cases, first + step)))
            for first in range(0, cases, step)
        ]
    if processes == 1:
        counts = [run_cases(*part) for part in parts]
    else:
        with concurrent.futures.ProcessPoolExecutor(processes) as pool:
            counts = list(pool.map(run_cases, *zip(*parts)))
    done = {target: 0 for target in TARGETS}
    for (target, *_), count in zip(parts, counts):
        done[target] += count
    words = ", ".join(f"{count:,} for {target}" for target, count in done.items())
    return f"{words}: all taken in (seed {seed}, {time.monotonic() - began:.1f} s)"
