"""The kit of a runtime in a worktree that was made for an agent: its scripts, its hooks and other settings.

Which runtime: the one that the worktree is for, else the project's. Instructions are the branch's own affair: what git
tracks is there already, and what it does not track shall not come to be committed by an agent.
Source: spec/features.md §6.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thrum_kernel.api import KitFile, RuntimePreset, WorktreeChange
from thrum_kernel.errors import NotFound, UsageError
from thrum_runtimes.init_step import primary
from thrum_runtimes.kit_plan import FilePlan, Place, plan_kits
from thrum_runtimes.registry import Runtimes, files_of
from thrum_runtimes.rendering import Fields
from thrum_runtimes.user_file import UserFile


def put(declared: Sequence[RuntimePreset], change: WorktreeChange, *, thrum: Path, home: Path) -> list[Path]:
    """Write what the worktree lacks, or what of it is old; the files that changed.

    Args:
        thrum: the shared ``.thrum``, whose configuration names the project's runtime.

    Raises:
        FileDamaged: a settings file there cannot be understood; nothing was written.
        UsageError: a link leads out of the worktree; nothing was written.
    """
    wanted = change.runtime or primary(thrum)
    if not wanted:
        return []
    try:
        preset = Runtimes(declared, UserFile(home).read()).get(wanted)
    except (NotFound, UsageError):
        return []  # a program of the person's own that is no runtime of ours
    place = Place(change.path, home)
    kit = {place.of(file.path) for file in files_of(preset) if _belongs(file, preset)}
    fields = Fields(name=change.agents[0]) if len(change.agents) == 1 else Fields()
    files = [file for file in plan_kits([preset], place, fields=fields, force=False) if file.path in kit]
    return _write(place, [file for file in files if file.writes])


def _belongs(file: KitFile, preset: RuntimePreset) -> bool:
    is_settings = file.managed or bool(file.merge) or file.path.endswith(".json")
    return is_settings and file.path != preset.instructions_file and not file.path.startswith("~/")


def _write(place: Place, files: Sequence[FilePlan]) -> list[Path]:
    for file in files:
        place.check(file.path)
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not file.path.exists()
        file.path.write_bytes(file.data)
        if is_new:
            file.path.chmod(file.mode)
    return [file.path for file in files]
