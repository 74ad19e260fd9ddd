"""Takes the time of whole programs, in turn; run with no agent runtime above it.

    python bench/stopwatch.py ROUNDS < PROGRAMS

PROGRAMS is a JSON object of names and words. Prints a JSON object of names and the milliseconds of each round. Every
other round goes through them backwards, so that none always follows the same one.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    rounds = int(sys.argv[1])
    programs = json.load(sys.stdin)
    times: dict[str, list[float]] = {name: [] for name in programs}
    for words in programs.values():
        spawn(words)
    for number in range(rounds):
        for name in list(programs)[:: -1 if number % 2 else 1]:
            times[name].append(spawn(programs[name]))
    print(json.dumps(times))


def spawn(words: list[str]) -> float:
    """Run a program to its end; gives milliseconds."""
    null = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
    started = time.perf_counter()
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=null)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - started) * 1000
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return took


if __name__ == "__main__":
    main()
