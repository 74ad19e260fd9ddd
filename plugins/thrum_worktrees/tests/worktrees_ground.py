"""A repository and worktrees of it, for tests that need no daemon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thrum_worktrees.places import Ground
from thrum_worktrees.records import Record, record_of

from thrum_kernel.testing.harness import Repo


@dataclass(frozen=True)
class Site:
    """A repository and where its worktrees go.

    Attributes:
        repo: the main worktree.
        ground: the same as the plugin sees it.
        base: where worktrees go.
    """

    repo: Repo
    ground: Ground
    base: Path

    @classmethod
    def of(cls, repo: Repo) -> Site:
        state = repo.main / ".thrum" / "var" / "plugins" / "worktrees"
        ground = Ground.of(repo.path, repo.path / ".thrum", env=repo.env, lock=state / "git.lock")
        (repo.path / ".git" / "info" / "exclude").write_text(".thrum/\n")
        return cls(repo, ground, repo.path.parent / "trees" / repo.path.name)

    def worktree(self, name: str, *words: str) -> Repo:
        """A linked worktree on ``feature/<name>``, or as the words say."""
        path = self.base / name
        self.repo.git("worktree", "add", "-q", *(words or ("-b", f"feature/{name}")), str(path))
        return Repo(path, self.repo.path, self.repo.env)

    def record(self, path: Path) -> Record:
        """Git's record of a worktree."""
        found = record_of(self.ground.git, path)
        assert found is not None, f"git knows no worktree {path}"
        return found


def commit(repo: Repo, name: str, text: str = "work\n") -> str:
    """Commit a file; gives the commit."""
    (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
    (repo.path / name).write_text(text)
    repo.git("add", "-f", name)
    repo.git("commit", "-q", "-m", f"add {name}")
    return repo.git("rev-parse", "HEAD")
