"""Faults from the command line.

    python -m tests.faults --schedules 2000 [--seed S] [--workers N]
    python -m tests.faults --replay SEED        the same schedule again, told in full
    python -m tests.faults --cuts [--both]      every command, cut at every byte
    python -m tests.faults --cut COMMAND:DIRECTION:BYTE:HOW
"""

from __future__ import annotations

import argparse
import logging
import queue
import sys
import threading
import time
from collections import Counter

from tests.faults import cuts
from tests.faults.batch import run_all
from tests.faults.bench import Bench
from tests.faults.proxy import DOWN
from tests.faults.run import Run
from tests.faults.schedule import Schedule
from tests.faults.subjects import SUBJECTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--schedules", type=int, metavar="N", help="run N schedules")
    what.add_argument("--replay", type=int, metavar="SEED", help="run one, and tell its story")
    what.add_argument("--cuts", action="store_true", help="cut every command at every byte")
    what.add_argument("--cut", metavar="CASE", help="one such case")
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule")
    parser.add_argument("--workers", type=int, help="schedules, or commands, side by side")
    parser.add_argument("--both", action="store_true", help="each cut with FIN and with RST")
    parser.add_argument("--times", type=int, default=1, help="how often to replay")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)  # losing connections is what this is about
    if args.schedules is not None:
        return schedules(args.seed, args.schedules, args.workers or 24)
    if args.replay is not None:
        return replay(args.replay, args.times)
    if args.cut is not None:
        return one_cut(cuts.Case.parse(args.cut), args.times)
    return all_cuts(args.workers or 4, args.both)


def schedules(seed: int, count: int, workers: int) -> int:
    def failed(run: Run) -> None:
        name = run.schedule.name
        print(f"schedule {name} broke a promise: {'; '.join(run.faults)}")
        print(f"    again: python -m tests.faults --replay {name} --times 20", flush=True)

    summary = run_all(
        (Schedule.from_seed(number) for number in range(seed, seed + count)), workers, failed
    )
    for what, times in sorted(summary.counts.items()):
        print(f"{times:8} {what}")
    for left in summary.left:
        print(f"left behind: {left}")
    for run in summary.failed[:3]:  # told in full: what threads do is not the same each time
        print(run)
    print(
        f"{summary.runs} schedules from seed {seed} in {summary.seconds:.1f} s "
        f"({time.process_time():.1f} s of processor time): {len(summary.failed)} failed"
    )
    return 0 if summary.good else 1


def replay(seed: int, times: int) -> int:
    """What threads do is not the same each time: *times* runs, until one fails."""
    for _ in range(times):
        run = Run(Schedule.from_seed(seed))
        run.go()
        run.finish()
        if run.faults:
            break
    print(run)
    return 1 if run.faults else 0


def one_cut(case: cuts.Case, times: int) -> int:
    with Bench("early" if case.direction == DOWN else "answer") as bench:
        subject = SUBJECTS[case.command](bench)
        for _ in range(times):
            end, _ = cuts.run_case(bench, subject, case)
            print(f"{case}: {end}")
    return 0


def all_cuts(workers: int, both: bool) -> int:
    wanted: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for sweep in cuts.ALL_SWEEPS:
        wanted.put(sweep)
    ends: Counter[str] = Counter()
    failures: list[str] = []
    began = time.monotonic()

    def work() -> None:
        while True:
            try:
                command, direction = wanted.get_nowait()
            except queue.Empty:
                return
            try:
                for case, end in cuts.sweep(command, direction, both=both):
                    ends[f"{case.command} {case.direction}: {end}"] += 1
            except Exception as error:
                failures.append(str(error))
                print(f"{error}\n    again: python -m tests.faults --cut CASE", flush=True)

    lanes = [threading.Thread(target=work) for _ in range(workers)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    for what, times in sorted(ends.items()):
        print(f"{times:8} {what}")
    print(
        f"{sum(ends.values())} cuts in {time.monotonic() - began:.1f} s "
        f"({time.process_time():.1f} s of processor time): {len(failures)} failed"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
