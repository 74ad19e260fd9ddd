"""Stories of two to six daemons with one remote, told by a seed: after healing nothing is lost, doubled or back.

Another number of stories: ``pytest tests/simulation --seeds 5000``. One again: ``pytest tests/simulation --seed 1234``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from simulation_run import run


def test_nothing_breaks_in_the_story_of(seed: int) -> None:
    outcome = run(seed)
    assert not outcome.violations, str(outcome)


def test_a_story_is_the_same_when_it_is_told_again() -> None:
    first, again = run(7), run(7)
    assert first.trace == again.trace
    assert first.sent


def test_a_story_is_the_same_in_another_process_with_other_hashes() -> None:
    folder = Path(__file__).parent
    code = "from simulation_run import run; print(run(7).fingerprint)"
    path = os.pathsep.join([str(folder), str(folder.parent / "projection")])
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {run(7).fingerprint}


def test_stories_differ() -> None:
    assert len({run(seed).fingerprint for seed in range(3)}) == 3
