"""What a monitor of the bench watches.

    python bench/printer.py NUMBER OF LOUD BYTES_A_SECOND TURN_S EVERY_S

Of OF printers the first LOUD print BYTES_A_SECOND, each for TURN_S in turn. Every printer prints ``ALARM <time>`` once in
EVERY_S, at a moment of its own; the time is in nanoseconds since 1970.
"""

from __future__ import annotations

import os
import sys
import time

STEP_S = 0.02
LINE = b"2026-03-15 09:30:00.123456 INFO  checkout.total: 12 items, 48.20 EUR, session 5f3a9c, in 12.3 ms\n"


def main() -> None:
    number, count, loud, rate = map(int, sys.argv[1:5])
    turn_s, every_s = map(float, sys.argv[5:7])
    chunk = LINE * max(1, int(rate * STEP_S) // len(LINE))
    alarm_at = (time.time() // every_s + 1) * every_s + every_s * number / count
    while True:
        now = time.time()
        if now >= alarm_at:
            os.write(1, b"ALARM %d\n" % time.time_ns())
            alarm_at += every_s
        if number < loud and int(now / turn_s) % loud == number:
            write(chunk)
            time.sleep(max(0.0, now + STEP_S - time.time()))
        else:
            next_turn = (int(now / turn_s) + 1) * turn_s if number < loud else alarm_at
            time.sleep(max(0.0, min(alarm_at, next_turn) - time.time()))


def write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
