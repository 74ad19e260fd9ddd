"""A project that was prepared once, given to each test as it was: by its files, which is all that a project is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.testing.harness import Repo


@dataclass(frozen=True, slots=True)
class Kept:
    """A repository whose whole neighbourhood (worktrees, HOME) is kept in copies. No daemon may run meanwhile.

    Attributes:
        repo: always at the same place.
        copies: where the copies are.
    """

    repo: Repo
    copies: Path

    @classmethod
    def make(cls, folder: Path, env: dict[str, str]) -> Kept:
        """A new one, with a HOME of its own and the rest of *env*."""
        home = folder / "all" / "home"
        home.mkdir(parents=True)
        its = {
            **env,
            "HOME": str(home),
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "TMUX_TMPDIR": str(home),
        }
        kept = cls(Repo.make(folder / "all" / "project", its), folder / "copies")
        kept.keep("fresh")
        return kept

    def keep(self, name: str) -> None:
        """Keep everything as it is now."""
        shutil.copytree(self._all, self.copies / name, symlinks=True)

    def restore(self, name: str) -> None:
        """Have everything as it was kept."""
        shutil.rmtree(self._all)
        shutil.copytree(self.copies / name, self._all, symlinks=True)

    @property
    def _all(self) -> Path:
        return self.repo.path.parent
