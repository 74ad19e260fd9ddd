"""Houses: one for all tests of a module that leave it standing, one of its own for each test that does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from daemon_house import House, furnish

from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.spawner import Spawner


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner) -> Iterator[House]:
    """A house for all tests of the module: they add to it, and leave the daemon running."""
    repo = Repo.housed(tmp_path_factory.mktemp("house"))
    person = Cli(thrum_spawner, repo.path, repo.env)
    yield furnish(repo, person)
    stop_daemon(person)


@pytest.fixture
def own_house(repo: Repo, cli: Cli) -> House:
    """A house that the test may ruin."""
    return furnish(repo, cli)
