"""Fixtures that several files share."""

from __future__ import annotations

import pytest
from worktrees_ground import Site

from thrum_kernel.testing.harness import Cli, Repo


@pytest.fixture
def isolated_home(isolated_home: dict[str, str]) -> dict[str, str]:
    """Agents without sessions; `test_worktrees_tmux` has those."""
    return {**isolated_home, "THRUM_PLUGINS_DISABLE": "tmux"}


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`cli` that stops when a plugin is broken."""
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")


@pytest.fixture
def site(repo: Repo) -> Site:
    """A repository without a daemon."""
    return Site.of(repo)
