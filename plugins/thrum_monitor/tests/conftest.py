"""Fixtures that several files share."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from monitor_house import House

from thrum_kernel.testing.clock import SettableClock
from thrum_kernel.testing.harness import Cli, Repo, clean_environment, stop_daemon
from thrum_kernel.testing.kernel import Agent, Kernel, running
from thrum_kernel.testing.spawner import Spawner


@pytest.fixture(scope="module")
def clock() -> SettableClock:
    """The time of `kernel`."""
    return SettableClock()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, clock: SettableClock) -> Iterator[Kernel]:
    """A kernel in this process; one for a whole file."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "home").mkdir()
    repo = Repo.make(folder / "project", clean_environment(folder / "home"))
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
    folder = tmp_path_factory.mktemp("house")
    (folder / "home").mkdir()
    repo = Repo.make(folder / "project", clean_environment(folder / "home"))
    cli = Cli(thrum_spawner, repo.path, {**repo.env, "THRUM_PLUGINS_STRICT": "1"})
    cli("init", "--non-interactive")
    cli("agent", "register", "--name", "rev", "--role", "reviewer", "--module", "main")
    yield House(cli, repo)
    stop_daemon(cli)
