"""What the store costs, as ratios measured in one run.

    python -m bench.store [FOLDER] [LINES]

FOLDER lies on the disk to be measured (default: here), LINES is the size of the log for the lower half of the table.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec

from bench.send import lone_appends
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.journal import Journal
from thrum_kernel.store.ranges import Line, Tree, cut, read_log, roll_up, scan

ROUNDS = 300
TYPES = frozenset({"message.create"})


def line(sequence: int) -> bytes:
    body = {"content": "a sentence of the usual length, as agents write them. " * 4, "format": "markdown"}
    head = {
        "type": "message.create",
        "event_id": f"evt_{sequence:026d}",
        "timestamp": "2026-01-01T00:00:00.000000Z",
    }
    rest = {"agent_id": f"agent{sequence % 20}", "incarnation": "0" * 26, "sequence": sequence, "body": body}
    return msgspec.json.encode({**head, "origin_daemon": "d_" + "0" * 26, **rest})


def each_s(work: Callable[[int], object], rounds: int = ROUNDS) -> float:
    """Median seconds of one call."""
    times = []
    for number in range(rounds):
        start = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - start)
    return median(times)


def once_s(work: Callable[[], object]) -> float:
    return each_s(lambda number: work(), 1)


def journal_append_s(folder: Path, batch: int) -> float:
    log = Journal.open_new(OsDisk(), folder / "journal", writer=f"w{batch}", daemon="d", previous=None)
    lines = [[line(n * batch + k + 1) for k in range(batch)] for n in range(ROUNDS)]
    return each_s(lambda number: log.append(lines[number]))


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else "."
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        lone = 1 / lone_appends(folder, 0.5)[0]
        print(
            f"lone append + fdatasync: {lone * 1e3:.3f} ms"
            + (" (too fast to judge by)" if lone < 1e-4 else "")
        )
        print(f"{'':52} {'ms':>9} {'ratio':>8}")
        for batch in (1, 20):
            taken = journal_append_s(folder, batch)
            row(f"journal append of {batch} against the lone append", taken, taken / lone)
        published(folder, count, lone)


def published(folder: Path, count: int, lone: float) -> None:
    tree = Tree(OsDisk(), folder)
    tree.prepare()
    small = [Line("w1", n, line(n)) for n in range(1, 11)]
    taken = once_s(lambda: list(cut(tree, small, daemon="d", message_types=TYPES)))
    row("cut of 10 events of 10 agents against the lone append", taken, taken / lone)
    lines = [Line("w2", n, line(n)) for n in range(1, count + 1)]
    size = sum(len(item.line) for item in lines)
    plain = once_s(lambda: write_plain(folder / "plain", lines))
    row(f"one plain file of {count:,} events ({size >> 20} MiB), synced", plain, 1.0)
    taken = once_s(lambda: list(cut(tree, lines, daemon="d", message_types=TYPES)))
    row(f"cut of {count:,} events of 20 agents against it", taken, taken / plain)
    row("scan of the tree", once_s(lambda: scan(tree)))
    plain = once_s(lambda: (folder / "plain").read_bytes().split(b"\n"))
    row("reading and splitting the plain file", plain, 1.0)
    taken = once_s(lambda: sum(len(batch) for batch in read_log(tree, message_types=TYPES)))
    row("read_log of everything against it", taken, taken / plain)
    row(f"  an event, in microseconds: {taken / count * 1e6:.2f}", taken)
    taken = once_s(lambda: roll_up(tree, scan(tree).units[-2:]))
    row("roll-up of the last two units", taken)


def write_plain(path: Path, lines: list[Line]) -> None:
    with path.open("wb") as file:
        file.write(b"\n".join(item.line for item in lines))
        file.flush()
        os.fsync(file.fileno())


def row(what: str, seconds: float, ratio: float | None = None) -> None:
    print(f"{what:52} {seconds * 1e3:9.3f} {'' if ratio is None else f'{ratio:.2f}':>8}")


if __name__ == "__main__":
    main()
