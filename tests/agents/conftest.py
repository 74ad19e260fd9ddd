"""Worktrees and processes for the tests of the room of agents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agents_house import Processes, git


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit and an initialised ``.thrum``."""
    path = tmp_path / "repo"
    path.mkdir()
    git("init", "-q", "-b", "main", cwd=path)
    (path / ".gitignore").write_text(".thrum/\n")
    (path / "src").mkdir()
    (path / "src" / "auth.py").write_text("one\n")
    git("add", ".", cwd=path)
    git("commit", "-q", "-m", "first", cwd=path)
    (path / ".thrum" / "var").mkdir(parents=True)
    (path / ".thrum" / "config.json").write_text("{}\n")
    return path


@pytest.fixture
def worktree(repo: Path) -> Path:
    """A linked worktree on a branch of its own."""
    path = repo.parent / "feature"
    git("worktree", "add", "-q", "-b", "feature", str(path), cwd=repo)
    return path


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    folder = tmp_path / "programs"
    folder.mkdir()
    running = Processes(folder)
    yield running
    running.close()
