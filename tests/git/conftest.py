"""Real git repositories for the tests of the git room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Runs git in a folder, with no configuration but the repository's own."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }

    def run(folder: Path, *words: str) -> str:
        settings = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")
        command = ["git", *settings, *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return run


@pytest.fixture
def empty(tmp_path: Path, git: Git) -> Path:
    """A repository without any commit, on branch main."""
    root = tmp_path.resolve() / "project"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    return root


@pytest.fixture
def repository(empty: Path, git: Git) -> Path:
    """A repository with one commit of one file on main."""
    (empty / "readme").write_text("one\ntwo\n")
    git(empty, "add", ".")
    git(empty, "commit", "-q", "-m", "first")
    return empty
