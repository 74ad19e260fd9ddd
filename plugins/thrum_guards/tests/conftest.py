"""Fixtures of the guards' tests: one project with a daemon a file, a worktree and names of its own a test."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from guards_house import House

from thrum_kernel.testing import harness
from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.spawner import Spawner

NUMBERS = count(1)


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`cli` whose daemon refuses to run with a plugin that cannot be loaded."""
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")


@pytest.fixture
def outdoors(cli: Cli, repo: Repo) -> Iterator[House]:
    """A project of the test's own that is not initialised."""
    with _standing(House(cli, repo, Path(tempfile.mkdtemp(prefix="thrum")))) as house:
        yield house


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner) -> Iterator[Cli]:
    """The file's project, initialised; its daemon runs with the guards."""
    with harness.project(thrum_spawner, tmp_path_factory.mktemp("guards"), "--roles", "skip") as (cli, _):
        plugins = cli("plugin", "list").split("\n")
        assert any(line.split()[:2] == ["guards", "active"] for line in plugins), plugins
        yield cli


@pytest.fixture
def house(project: Cli) -> Iterator[House]:
    """A worktree of the file's project with nobody in it; modes and configuration are as before afterwards."""
    number = next(NUMBERS)
    main = Repo(project.cwd, project.cwd, project.env)
    repo = main.worktree(f"place{number}")
    config = main.path / ".thrum" / "config.json"
    before = config.read_bytes()
    folder = Path(tempfile.mkdtemp(prefix="thrum"))
    with _standing(House(project.at(repo.path), repo, folder, number)) as house:
        yield house
        house.overlay.unlink(missing_ok=True)
        config.write_bytes(before)


@contextlib.contextmanager
def _standing(house: House) -> Iterator[House]:
    """Leave neither runtimes nor the folder they are in."""
    yield house
    for runtime in reversed(house.runtimes):
        runtime.end()
    shutil.rmtree(house.folder)
