"""A repository whose daemon has the plugins of a site."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thrum_kernel.testing.harness import Cli, Repo, request, stop_daemon
from thrum_kernel.testing.site import Site
from thrum_kernel.testing.spawner import Spawner


class House:
    """Not initialised yet; see `start`."""

    def __init__(self, cli: Cli, repo: Repo, site: Site) -> None:
        self.repo = repo
        self.site = site
        self.cli = cli.at(repo.path, PYTHONPATH=str(site.path))

    @property
    def thrum(self) -> Path:
        return self.repo.path / ".thrum"

    def call(self, method: str, **params: Any) -> Any:
        return request(self.thrum / "var" / "thrum.sock", method, **params)

    def start(self) -> None:
        """Initialise the repository and start the daemon; ada is the agent of the main worktree."""
        self.cli("init", "--non-interactive", "--name", "ada", "--role", "implementer", "--module", "auth")

    def join(self, name: str) -> Cli:
        """One more agent, in a worktree of its own."""
        agent = self.cli.at(self.repo.worktree(name).path)
        agent("quickstart", name, "--role", "implementer", "--module", "auth")
        return agent

    def restart(self) -> None:
        self.cli("daemon", "restart")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The daemon does not run for a while."""
        self.cli("daemon", "stop")
        yield
        self.cli("daemon", "start")

    def plugins(self) -> dict[str, Any]:
        return {row["name"]: row for row in self.call("plugin.list")["plugins"]}

    def log(self) -> str:
        """What the daemon that runs, or ran last, has logged."""
        text = (self.thrum / "var" / "daemon.log").read_text()
        return text[text.rindex(" starts (PID ") :]


@contextmanager
def house_of_its_own(
    folder: Path, environment: Mapping[str, str], spawner: Spawner, plugins: dict[str, dict[str, Any]]
) -> Iterator[House]:
    """A house below *folder* that has *plugins*, by name with the arguments of `Site.install`, and whose daemon runs."""
    repo = Repo.make(folder / "project", environment)
    cli = Cli(spawner, repo.path, repo.env)
    made = House(cli, repo, Site(folder / "site"))
    for name, parts in plugins.items():
        made.site.install(name, **parts)
    try:
        made.start()
        yield made
    finally:
        stop_daemon(cli)


def wait_for(look: Any, wanted: Any) -> None:
    """Return once *look* gives what is wanted; an assertion fails when it does not."""
    deadline = time.monotonic() + 10
    while (found := look()) != wanted:
        assert time.monotonic() < deadline, f"{found!r} is not {wanted!r}"
        time.sleep(0.02)
