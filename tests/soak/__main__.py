"""Run traffic for a while and print figures; the exit code is 1 if anything grew or was lost."""

from __future__ import annotations

import argparse
import logging
import os
import ssl
import sys
import tempfile
import threading
import time
from typing import Any, Sequence

import telephony.protocol.routes
import telephony.protocol.session
import telephony.protocol.table
from telephony import Client
from telephony.runtime.backoff import Backoff
from tests.soak.cm import RemoteSandbox
from tests.soak.figures import FEWEST, Sample, descriptors, growth, taken
from tests.soak.traffic import Traffic

ABOUT = """\
Callers on several threads, calls that come in, digits, bridges, dials that give up before their
answer, far ends that hang up, callbacks that are slow or raise; the connection is dropped every
few seconds and now and then refused when it comes back. The sandbox is a process of its own, so
the figures are the client's alone. Now and then all stand still and a line of figures is printed:
calls placed and ended, reconnects, orphans, threads, descriptors, RSS in KiB, tracked calls,
objects on the heap. What the client remembers of calls that are over, for minutes and up to 10,000
of them, it remembers here for a tenth of the run and up to 200, so that this has filled up when
the first third, which does not count, is over.

The exit code is 1 if a figure grew (by the best line through the samples, and from the least of
the second quarter to the least of the last), if a call was lost, a request seen twice, a caller
stuck, or if calls, threads or descriptors are left at the end.
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.soak",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=0.0, help="added to the minutes")
    parser.add_argument("--seed", type=int, help="makes the same choices again")
    parser.add_argument("--callers", type=int, default=6)
    parser.add_argument("--drop", type=float, help="seconds from one drop to the next (3)")
    parser.add_argument("--every", type=float, help="seconds from one sample to the next (10)")
    parser.add_argument("--tls", action="store_true", help="over wss; needs trustme")
    parser.add_argument("--leak", action="store_true", help=argparse.SUPPRESS)  # keeps all events
    args = parser.parse_args(argv)
    seconds = args.minutes * 60 + args.seconds
    if seconds <= 0:
        parser.error("how long? --minutes N")
    seed = int.from_bytes(os.urandom(3), "big") if args.seed is None else args.seed
    drop = args.drop or min(3.0, seconds / 4)
    every = args.every or min(10.0, seconds / 16)
    print(f"seed {seed}, {seconds:g} s, a drop every {drop:g} s", flush=True)
    logging.getLogger("telephony").addHandler(logging.NullHandler())
    logging.getLogger("telephony").propagate = False
    remember(min(600.0, max(1.0, seconds / 10)), int(min(200, max(20, 5 * seconds))))
    with tempfile.TemporaryDirectory() as folder:
        file, options = certificates(folder) if args.tls else (None, {})
        with RemoteSandbox(file, time_scale=50, dids=None, lookup_hold=100) as cm:
            failures = run(cm, options, seconds, drop, every, seed, args.callers, args.leak)
    for failure in failures:
        print("FAILED:", failure)
    print("failed" if failures else "nothing grew and nothing was lost")
    return 1 if failures else 0


def remember(seconds: float, most: int) -> None:
    """Let tombstones, orphans, offers, last words and stale calls be fewer, for less long."""
    table, session = telephony.protocol.table, telephony.protocol.session
    routes = telephony.protocol.routes
    for module, name, value in (
        (table, "REMEMBERED_SECONDS", seconds),
        (session, "REMEMBERED_SECONDS", seconds),
        (table, "INCOMING_SECONDS", min(60.0, seconds)),
        (table, "CLOSING_SECONDS", min(60.0, seconds)),
        (table, "REMEMBERED_MOST", most),
        (session, "REMEMBERED_MOST", most),
        (routes, "LAST_WORDS_MOST", most),
    ):
        assert hasattr(module, name), name  # renamed: then it is not cut any more
        setattr(module, name, value)


def certificates(folder: str) -> tuple[str, dict[str, Any]]:
    """A file for the server, and options for a client that trusts it."""
    import trustme

    authority = trustme.CA()
    file = os.path.join(folder, "server.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(file)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return file, {"ssl_context": context}


def run(
    cm: RemoteSandbox,
    options: dict[str, Any],
    seconds: float,
    drop: float,
    every: float,
    seed: int,
    callers: int,
    leak: bool,
) -> list[str]:
    base = (threading.active_count(), descriptors())
    client = Client(
        cm.url, cm.auth_token, None, cm.app_id, proxy=False,
        reconnect=Backoff(initial=0.05, maximum=0.5), stale_timeout=min(600.0, seconds / 10),
        **options,
    )  # fmt: skip
    client.connect()
    traffic = Traffic(cm, client, seed, leak)
    began = time.monotonic()
    samples: list[Sample] = []

    def sample() -> None:
        samples.append(
            taken(
                time.monotonic() - began,
                len(client.calls()),
                placed=traffic.placed,
                ended=traffic.ended,
                reconnects=client.health().reconnects,
                orphans=traffic.orphans,
            )
        )
        print(samples[-1], flush=True)

    traffic.start(callers)
    next_drop, next_sample, next_look = began + drop, began + every, began + 1
    pause = threading.Event()
    # On a slow machine a short run is made longer, until there is enough to judge by.
    while (now := time.monotonic()) < began + seconds or (
        len(samples) < FEWEST and now < began + 3 * seconds + 10
    ):
        traffic.mend()
        if now >= next_drop:
            traffic.disturb()
            next_drop = now + drop
        if now >= next_look:
            traffic.look_after()
            next_look = now + 1
        if now >= next_sample:
            traffic.still(sample)
            next_sample = time.monotonic() + every
        pause.wait(max(0.0, min(next_drop, next_sample, next_look, now + 0.2) - now))
    traffic.stop()
    print("how the callers' stories ended:", dict(sorted(traffic.ends.items())))
    failures = [*traffic.failures, *growth(samples)]
    failures += settled(cm, client, traffic, seconds / 10 + 10)
    client.close(drain=10)
    failures += left(base)
    failures += [f"seen twice: {request}" for request in cm.twice()]
    return failures


def settled(
    cm: RemoteSandbox, client: Client, traffic: Traffic, patience: float
) -> list[str]:
    """Hang up what is up, and wait until the client has none either."""
    cm.clear_faults()
    end = time.monotonic() + patience
    pause = threading.Event()
    while time.monotonic() < end:
        traffic.mend()
        traffic.hang_up_all()
        if client.connected and not client.calls() and not client.health().in_flight:
            return []
        pause.wait(0.1)
    return [f"not settled at the end: {client.health()}, {client.calls()}"]


def left(base: tuple[int, int]) -> list[str]:
    """Threads and descriptors that were not there at the start; threads may take a moment."""
    end, pause = time.monotonic() + 10, threading.Event()
    while time.monotonic() < end:
        now = (threading.active_count(), descriptors())
        if now[0] <= base[0] and now[1] <= base[1]:
            return []
        pause.wait(0.05)
    names = [thread.name for thread in threading.enumerate()]
    return [f"left at the end: {now} threads and descriptors, {base} at the start; {names}"]


if __name__ == "__main__":
    sys.exit(main())
