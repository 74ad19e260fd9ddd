"""Files for the runtime of an agent that registers: what ``init --runtime`` writes, by the same step of a plugin.

Source: spec/features.md §11.4.
"""

from __future__ import annotations

from typing import Any

from thrum_kernel.cli.command import Run
from thrum_kernel.cli.commands.initializing import carry_out, plugged
from thrum_kernel.cli.transaction import Transaction
from thrum_kernel.cli.undertaking import Undertaking
from thrum_kernel.errors import ThrumError
from thrum_kernel.paths import Paths

OPTION = "runtime"


class _FilesOnly(Undertaking):
    """Writes files and leaves the configuration alone: what one agent runs in is not the project's choice."""

    def configure(self, key: str, value: Any) -> None:
        pass


def write_runtime_files(run: Run, where: Paths, runtime: str, **agent: str) -> dict[str, Any] | None:
    """Write the files that *runtime* needs in the agent's worktree; the JSON result, None where no plugin has any.

    Nothing of the project's own is replaced. What goes wrong is told and takes only the files back: the agent is
    registered all the same.
    """
    with plugged(run, where) as plugins:
        steps = [step for step in plugins.init_steps if any(each.name == OPTION for each in step.options)]
        if not steps:
            return None
        try:
            with Transaction() as transaction:
                plan = _FilesOnly(
                    where,
                    settings=plugins.settings,
                    env=run.inv.env,
                    options={OPTION: runtime, **agent},
                    transaction=transaction,
                )
                carry_out(steps, plan)
        except ThrumError as error:
            run.out.note(f"Warning: no files were written for the runtime {runtime}: {error}")
            return None
        return plan.finished()
