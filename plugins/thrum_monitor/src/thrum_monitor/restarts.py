"""When a command that ended is started again, and when it is given up. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 60.0
GOOD_RUN_S: Final = 10.0
"""A run that lasted this long is one that works: the next failure waits a second again."""
SHORT_RUNS: Final = 8
ENDS: Final = 10
WINDOW_S: Final = 300.0


@dataclass(slots=True)
class Restarts:
    """What is known of a monitor's runs since it was started by somebody.

    Attributes:
        first_delay_s: how long to wait after the first short run; doubles with each further one.
    """

    first_delay_s: float = FIRST_DELAY_S
    _short: int = 0
    _ends: list[float] = field(default_factory=list)

    def after(self, *, lasted_s: float, now_s: float) -> float | None:
        """Seconds until the next start of a command that ran for *lasted_s*; None when it is given up."""
        self._short = 0 if lasted_s >= GOOD_RUN_S else self._short + 1
        self._ends = [*(at for at in self._ends if at > now_s - WINDOW_S), now_s]
        if self._short >= SHORT_RUNS or len(self._ends) > ENDS:
            return None
        return min(LONGEST_DELAY_S, self.first_delay_s * 2.0 ** max(0, self._short - 1))

    def why(self) -> str:
        """Why it was given up."""
        if self._short >= SHORT_RUNS:
            return f"its command ended {self._short} times in a row within {GOOD_RUN_S:g} s"
        return f"its command ended {len(self._ends)} times in {WINDOW_S / 60:g} minutes"
