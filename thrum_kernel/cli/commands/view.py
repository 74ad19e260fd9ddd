"""What commands share about showing: the reader's view, and lists of lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from thrum_kernel.cli.command import Run
from thrum_kernel.cli.render import View, zone_of
from thrum_kernel.clock import SystemClock


def view_of(run: Run) -> View:
    """How the one who typed this command wants things shown, now."""
    return View(SystemClock().now_us(), verbose=run.inv.verbose, zone=zone_of(run.inv.env))


def show(run: Run, value: object, lines: Iterable[str]) -> None:
    """Answer with *lines* for people, or with *value* for programs."""
    run.out.json(value)
    for line in lines:
        run.out.line(line)


def again(words: str, flags: Mapping[str, object]) -> str:
    """The command *words* with the *flags* that narrow it, ready for ``--page``.

    A value of True stands for a flag alone, a pair for ``(value, usual value)``; what is empty is left out.
    """
    line = [words]
    for flag, value in flags.items():
        if isinstance(value, tuple):
            line += [f"{flag} {value[0]}"] if value[0] != value[1] else []
        elif value is True:
            line.append(flag)
        elif value:
            line.append(f"{flag} {value}")
    return " ".join(line)
