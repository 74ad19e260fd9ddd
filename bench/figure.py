"""What a module of figures gives, and how hard it tries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure beside its target.

    Attributes:
        name: what is measured, against what.
        measured, target: in *unit*; a ratio where that is ``×``.
        at_least: the target is the least that will do, not the most.
        numbers: the absolute numbers behind it.
        not_judged: why it is told and not judged; empty for most.
    """

    name: str
    measured: float
    target: float
    at_least: bool = False
    unit: str = "×"
    numbers: str = ""
    not_judged: str = ""

    @property
    def is_met(self) -> bool:
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    @property
    def verdict(self) -> str:
        if self.not_judged:
            return "not judged"
        return "met" if self.is_met else "missed"

    @property
    def measured_text(self) -> str:
        return f"{rounded(self.measured)} {self.unit}"

    @property
    def target_text(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.target:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of each thing is done.

    Attributes:
        folder: an empty folder on the disk to be measured; removed afterwards by whoever made it.
        quick: just enough to see that everything runs; such figures are told, never written down.
        say: tells what is going on.
    """

    folder: Path
    quick: bool = False
    say: Callable[[str], None] = lambda text: None

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def seconds(self, full: float, quick: float) -> float:
        return quick if self.quick else full

    def room(self, name: str) -> Path:
        """A new folder of this name."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path


Figures = Callable[[Effort], Iterable[Figure]]
"""What every module of figures has under the name ``figures``."""


def rounded(value: float) -> str:
    """Three digits that count."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
