"""One seed from beginning to end, in a folder that is gone afterwards."""

from __future__ import annotations

import contextlib
import logging
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulation_checks import violations
from simulation_loop import simulated_loop
from simulation_steps import STEPS, Steps
from simulation_story import Story, Unexpected

IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Outcome:
    """What a seed came to.

    Attributes:
        violations: what is wrong; empty when nothing is.
        fingerprint: names everything that happened.
        trace: the same, a line a step.
        sent: how many messages were acknowledged.
    """

    seed: int
    violations: list[str]
    fingerprint: str
    trace: list[str]
    sent: int

    def __str__(self) -> str:
        found = "\n  ".join(text[:600] for text in self.violations[:8])
        return (
            f"seed {self.seed} breaks what must hold:\n  {found}\n"
            f"replay: pytest tests/simulation --seed {self.seed}"
        )


def run(seed: int, *, steps: int = STEPS) -> Outcome:
    """Tell the story of *seed* and look at what it came to. An assertion that fails on the way is a violation, too."""
    rng = random.Random(seed)
    with folder_in_memory() as folder, simulated_loop(rng) as loop:
        story = Story(seed, folder, loop, rng)
        with _watched(story):
            found = loop.run_until_complete(_tell(story, steps))
    return Outcome(seed, found, story.fingerprint, story.trace, len(story.ledger.sent))


async def _tell(story: Story, steps: int) -> list[str]:
    try:
        await Steps(story).tell(steps)
        return await violations(story)
    except Exception as error:  # noqa: BLE001 - whatever breaks is what the simulation is looking for
        return [*story.faults, f"{type(error).__name__}: {error}"]
    finally:
        for node in story.nodes:
            node.drop()


@contextlib.contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder in memory where there is one: databases are synced some thousand times a second."""
    folder = Path(tempfile.mkdtemp(prefix="thrum-simulation-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _watched(story: Story) -> Iterator[None]:
    """Have what the kernel logs looked at, and shown nowhere."""
    log, handler = logging.getLogger("thrum_kernel"), Unexpected(story)
    before = log.propagate
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before
