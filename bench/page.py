"""The table of figures, for the terminal and for docs/explanation/performance.md."""

from __future__ import annotations

import datetime
import os
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.figure import Figure

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
HEAD = ("of", "figure", "measured", "target", "", "the numbers behind", "when")

Rows = Sequence[tuple[str, Figure]]
"""Figures with the module that gave each."""


def machine() -> str:
    """What was measured on, and how busy that was."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{_cpu()}, {os.cpu_count()} cores; {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}; SQLite {sqlite3.sqlite_version}; "
        f"{_today()}; load at the end {load}"
    )


def plain(found: Rows, where: str, *, quick: bool) -> str:
    """The table as text."""
    rows = [(figure.name, figure.measured_text, figure.target_text, figure.verdict) for _, figure in found]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    lines = []
    for row, (_, figure) in zip(rows, found, strict=True):
        lines.append("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"    {text}" for text in (figure.numbers, figure.not_judged) if text]
    lines.append(("a quick run: nothing to rely on; " if quick else "") + where)
    return "\n".join(lines)


def write(path: Path, found: Rows, where: str) -> None:
    """Put the rows between the markers of *path*; rows of modules that were not measured now stay.

    Raises:
        ValueError: the markers are not there.
    """
    before, _, rest = path.read_text().partition(BEGIN)
    old, marker, after = rest.partition(END)
    if not marker:
        raise ValueError(f"{path} has no place for figures: {BEGIN} … {END}")
    measured = {name for name, _ in found}
    kept = [row for row in _rows_of(old) if row[0] not in measured]
    rows = [*kept, *(_cells(name, figure) for name, figure in found)]
    order = list(dict.fromkeys(row[0] for row in _rows_of(old))) + [name for name, _ in found]
    rows.sort(key=lambda row: order.index(row[0]))
    path.write_text(f"{before}{BEGIN}\n{_table(rows)}\nLast run on: {where}.\n{END}{after}")


def _cells(name: str, figure: Figure) -> tuple[str, ...]:
    verdict = figure.verdict if figure.verdict == "met" else f"**{figure.verdict}**"
    numbers = "; ".join(text for text in (figure.numbers, figure.not_judged) if text)
    return (name, figure.name, figure.measured_text, figure.target_text, verdict, numbers, _today())


def _rows_of(text: str) -> list[tuple[str, ...]]:
    """The rows of a table as `_table` wrote it."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = [HEAD, tuple("---" for _ in HEAD), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def _today() -> str:
    return datetime.date.today().isoformat()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
