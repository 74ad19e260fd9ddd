"""Two clones of one remote, as two people have them: each with its own daemon."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from thrum_kernel.testing.harness import Cli, Failed, Repo, stop_daemon
from thrum_kernel.testing.spawner import Spawner


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone with a daemon of its own.

    Attributes:
        repo: its main worktree; ``origin`` is the remote.
        cli: the command, typed there.
    """

    repo: Repo
    cli: Cli

    @property
    def socket(self) -> Path:
        """Where its daemon answers."""
        return self.repo.path / ".thrum" / "var" / "thrum.sock"


@dataclass(frozen=True, slots=True)
class TwoClones:
    """A bare repository and two clones of it.

    Attributes:
        remote: the bare repository.
        here: one clone.
        there: the other.
    """

    remote: Path
    here: Clone
    there: Clone

    @classmethod
    def make(cls, folder: Path, env: Mapping[str, str], spawner: Spawner) -> Self:
        """A remote ``shop.git`` with one commit, cloned below ``here/`` and ``there/``; both daemons run."""
        remote = folder / "shop.git"
        seed = Repo.make(folder / "seed", env)
        seed.git("clone", "-q", "--bare", ".", str(remote))
        made = cls(remote, *(_clone(remote, folder / name / "shop", env, spawner) for name in _NAMES))
        try:
            for clone in (made.here, made.there):
                clone.cli("init", "--non-interactive")
        except BaseException:
            made.stop()
            raise
        return made

    def stop(self) -> None:
        """Stop both daemons."""
        stop_daemon(self.here.cli)
        stop_daemon(self.there.cli)


_NAMES = ("here", "there")


def _clone(remote: Path, path: Path, env: Mapping[str, str], spawner: Spawner) -> Clone:
    done = subprocess.run(
        ["git", "clone", "-q", str(remote), str(path)],
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"git clone: {done.stderr.strip()}")
    repo = Repo(path, path, dict(env))
    repo.git("config", "user.name", f"Person {path.parent.name}")
    repo.git("config", "user.email", f"{path.parent.name}@example.org")
    return Clone(repo, Cli(spawner, path, repo.env))
