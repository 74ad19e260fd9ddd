"""Bugs that are planted one at a time: the simulation finds each, and finds nothing where there is none."""

from __future__ import annotations

import pytest
from simulation_bugs import BUGS, Plant
from simulation_run import run

STORIES = 60
"""Within so many stories each bug must show, whatever changed since it was noted which one shows it."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    stories = (run(seed) for seed in (BUGS[bug], *range(STORIES)))
    found = next((outcome for outcome in stories if outcome.violations), None)
    assert found is not None, f"{bug.__doc__} And {STORIES} stories went well."
    clumsy = [
        text for text in found.violations if text.startswith(("TypeError", "AttributeError", "NameError"))
    ]
    assert not clumsy, f"the bug does not fit the code any more: {clumsy}"
