"""Tests of the briefing."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("briefing_terminal")

from thrum_kernel.testing.harness import Cli, Repo  # noqa: E402
from thrum_kernel.testing.site import Site  # noqa: E402
from thrum_kernel.testing.spawner import Spawner  # noqa: E402


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder that plugins can be installed into; nothing is yet."""
    return Site(tmp_path / "site")


@pytest.fixture
def plugged(repo: Repo, site: Site, thrum_spawner: Spawner, cli: Cli) -> Cli:
    """`cli` with what is installed in `site`; install before the first command."""
    return cli.at(repo.path, PYTHONPATH=str(site.path))
