"""Fixtures that several files share."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from monitor_house import House

from thrum_kernel.testing.clock import SettableClock
from thrum_kernel.testing.harness import Repo, project
from thrum_kernel.testing.kernel import Agent, Kernel, running
from thrum_kernel.testing.spawner import Spawner


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    """The time of `kernel`."""
    return SettableClock()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, clock: SettableClock) -> Iterator[Kernel]:
    """A kernel in this process; one for a whole file."""
    repo = Repo.housed(tmp_path_factory.mktemp("kernel"))
    with running(repo, clock=clock, env={"THRUM_PLUGINS_STRICT": "1", **repo.env}) as made:
        yield made


@pytest.fixture
def rev(kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """An agent of the test's own; no monitor and no setting outlives the test."""
    made = kernel.agent(f"rev{zlib.crc32(request.node.name.encode())}")
    yield made
    (kernel.repo.path / ".thrum" / "config.json").write_text("{}\n")
    for monitor in made.call("monitor.list", include_all=True):
        made.call("monitor.delete", id=monitor["id"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner) -> Iterator[House]:
    """A project with a daemon, in which rev is an agent; one for a whole file, for it takes seconds to make."""
    with project(thrum_spawner, tmp_path_factory.mktemp("house")) as (cli, repo):
        cli("agent", "register", "--name", "rev", "--role", "reviewer", "--module", "main")
        yield House(cli, repo)
