"""Fixtures that several files share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from roles_team import Team

from thrum_kernel.testing.harness import Cli, project
from thrum_kernel.testing.spawner import Spawner


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`cli` that stops when a plugin is broken."""
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner) -> Iterator[Team]:
    """The file's team."""
    with project(thrum_spawner, tmp_path_factory.mktemp("roles")) as (cli, repo):
        impl, test = repo.worktree("impl"), repo.worktree("test")
        cli("agent", "register", "--name", "coord", "--role", "coordinator", "--module", "main")
        cli.at(impl.path)(
            "agent", "register", "--name", "impl_a", "--role", "implementer", "--module", "auth"
        )
        cli.at(test.path)("agent", "register", "--name", "test_b", "--role", "tester", "--module", "auth")
        yield Team(repo, impl, test, cli)


@pytest.fixture
def team(members: Team) -> Iterator[Team]:
    """A team without role templates. What a test writes of roles is gone after it."""
    config = members.main.path / ".thrum" / "config.json"
    places = [repo.path / ".thrum" / "context" for repo in (members.main, members.impl, members.test)]
    before = {path: path.read_bytes() for path in [config, *_files(places)]}
    yield members
    shutil.rmtree(config.parent / "role_templates", ignore_errors=True)
    for path in _files(places) - before.keys():
        path.unlink()
    for path, data in before.items():
        path.write_bytes(data)


def _files(folders: list[Path]) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}
