"""Nothing that comes from outside ends, hangs or fills the testbed.

    python -m benchmarks.fuzz [--seed N] [--share SHARE] [orders http changes stamp files]

Seeded: order documents of three formats and requests of any bytes to a northbound server on
the loopback interface, slow, half-closed and cut senders among them; orders, changes and
withdrawals of a network in memory, after which everything is as it was; STAMP packets to
the parser and to a reflector on the loopback interface; application class and scenario
files. An input may be refused; a crash is any other exception, an answer of 500 or none,
and a hang is what takes longer than a second (documents of over a megabyte: a second for each).
"""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
import time
from collections.abc import Callable

from benchmarks.fuzz.found import give_up
from benchmarks.fuzz.http import http
from benchmarks.fuzz.orders import changes, files, orders
from benchmarks.fuzz.stamp import stamp

KINDS: dict[str, tuple[Callable[[random.Random, int], bool], int]] = {
    "orders": (orders, 10_000),
    "http": (http, 10_000),
    "changes": (changes, 3_000),
    "stamp": (stamp, 30_000),
    "files": (files, 1_000),
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--share", type=float, default=1.0, help="of the inputs")
    given = options.parse_args()
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, give_up)
    good = True
    for kind in given.kinds or KINDS:
        fuzz, count = KINDS[kind]
        began = time.monotonic()
        good &= fuzz(random.Random(f"{given.seed} {kind}"), max(1, int(count * given.share)))
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    print("nothing crashed, hung or grew" if good else "NOT good: see BAD above")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
