"""A kill at any moment of a creation or a teardown: nothing is lost, and the next start goes on.

Every write to the disk and every program started is a moment; ``make soak`` takes them all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).with_name("worktrees_crashes.py")
SOAK = os.environ.get("THRUM_SOAK") == "1"
FEW = {"create": (25, 37), "destroy": (37, 49), "refused": (11,), "late": (25,)}
"""Moments for every day: before git adds it, while an agent moves in; before git's record goes, while files are deleted;
while it is looked at, and while it is looked at again."""


def run(folder: Path, scenario: str, *steps: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(folder), scenario, *map(str, steps)],
        capture_output=True,
        text=True,
        check=True,
        timeout=3600,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.soak
@pytest.mark.parametrize("scenario", FEW)
def test_a_kill_at_any_moment_loses_nothing_and_the_next_start_goes_on(tmp_path: Path, scenario: str) -> None:
    steps = FEW[scenario]
    if SOAK:
        (counted,) = run(tmp_path, scenario, 0)
        assert counted["reached"] > max(steps) and not counted["problems"]
        steps = tuple(range(1, counted["reached"] + 1))

    found = run(tmp_path, scenario, *steps)

    assert [each for each in found if each["problems"]] == []
    assert sum(each["reached"] == 0 for each in found) >= min(len(steps), max(FEW[scenario]) - 5), (
        "they were killed"
    )
