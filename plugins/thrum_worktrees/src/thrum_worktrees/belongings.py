"""What an agent saved in its worktree comes along when the agent stays and the worktree goes.

It is kept in the shared ``.thrum``, and goes with the agent into the next worktree that is made for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from thrum_worktrees.wiring import THRUM

_FILES: Final = ("context/{}.md", "context/{}_session.md", "context/{}_preamble.md", "restart/{}.md")


def keep(worktree: Path, thrum: Path, agents: Sequence[str]) -> list[Path]:
    """Copy what *agents* saved in a worktree into *thrum*, in the place of what is kept of them there; what was copied.

    Raises:
        OSError: it cannot be copied.
    """
    return [
        _copied(source, target)
        for agent in agents
        for source, target in _saved(worktree / THRUM, thrum, agent)
    ]


def bring(thrum: Path, worktree: Path, agent: str) -> list[Path]:
    """Move what is kept of *agent* into its worktree, unless it saved something there; what was moved.

    Raises:
        OSError: it cannot be moved.
    """
    moved = []
    for source, target in _saved(thrum, worktree / THRUM, agent):
        if not target.exists() or not target.stat().st_size:
            moved.append(_copied(source, target))
            source.unlink()
    return moved


def _saved(source: Path, target: Path, agent: str) -> Iterator[tuple[Path, Path]]:
    """The files of an agent that say something."""
    for name in (form.format(agent) for form in _FILES):
        file = source / name
        if file.is_file() and not file.is_symlink() and file.stat().st_size:
            yield file, target / name


def _copied(source: Path, target: Path) -> Path:
    """Whole or not at all."""
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.coming")
    shutil.copy2(source, aside)
    os.replace(aside, target)  # noqa: PTH105
    return target
