"""The step of ``init`` run by itself, with what became of each file."""

from __future__ import annotations

from pathlib import Path

from thrum_runtimes.init_step import step
from thrum_runtimes.presets import BUILT_IN

from thrum_kernel.testing.init_plan import FakePlan


class WritingPlan(FakePlan):
    """With what was reported to become of each file."""

    @property
    def actions(self) -> dict[str, str]:
        """By path in the worktree."""
        return {
            str(Path(file["path"]).relative_to(self.worktree)): file["action"]
            for file in self.reported["files"]
        }


def run_step(plan: WritingPlan) -> WritingPlan:
    """Run the runtimes' step with nobody's plugins but ours."""
    step(lambda: BUILT_IN).run(plan)
    return plan


def tree(root: Path) -> dict[str, bytes]:
    """Every file below *root* but git's, with its bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }
