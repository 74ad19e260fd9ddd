"""A kernel in the test's own process: every room over a real repository, no daemon to start, no command to run.

::

    def test_the_desk_greets(kernel: Kernel) -> None:
        ada = kernel.agent("ada")

        assert ada.call("acme_desk.hello") == {"text": "Hello, ada!"}

Its loop runs while it is asked something, and only then: what goes on in the background (services, told events, waking)
goes on during the next `Kernel.call`, or in `Kernel.until`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from thrum_kernel import paths
from thrum_kernel.api import Caller, Clock, PluginContext
from thrum_kernel.daemon.main import KERNEL_MIGRATIONS, Daemon
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.testing.harness import Repo

T = TypeVar("T")

PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Agent:
    """A registered agent with an open session, in a worktree of its own.

    Attributes:
        name: without the ``@``.
        repo: its worktree.
    """

    kernel: Kernel
    name: str
    repo: Repo

    @property
    def caller(self) -> Caller:
        """As the kernel sees it."""
        return Caller(kind="agent", agent_id=self.name, worktree=self.repo.path, cwd=self.repo.path)

    def call(self, method: str, /, **params: Any) -> Any:
        """The result of a method that this agent asks for. Raises ThrumError."""
        return self.kernel.call(method, caller=self.caller, **params)

    def send(self, text: str, *, to: str) -> str:
        """Send a message; gives its id. Raises ThrumError."""
        return str(self.call("message.send", content=text, to=to)["message_id"])

    def inbox(self) -> list[str]:
        """The texts of its messages, oldest first. Nothing becomes read."""
        found = self.call("message.list", for_agent=self.name)
        return [message["body"]["content"] for message in reversed(found["messages"])]


class Kernel:
    """A kernel that serves, with the plugins that its environment has. Made by `running`.

    Attributes:
        repo: the repository it lies in.
        daemon: what is composed; for tests of the kernel itself.
    """

    def __init__(self, repo: Repo, daemon: Daemon, runner: asyncio.Runner) -> None:
        self.repo = repo
        self.daemon = daemon
        self._runner = runner

    def call(self, method: str, /, *, caller: Caller | None = None, **params: Any) -> Any:
        """The result of a method, as a client gets it.

        Args:
            caller: who asks; by default a person in the main worktree who is no agent.

        Raises:
            ThrumError: it was refused.
        """
        place = self.repo.path
        asking = caller or Caller(kind="anonymous", agent_id="", worktree=place, cwd=place)
        return self.run(self.daemon.dispatcher.call(method, params, caller=asking))

    def agent(self, name: str, *, role: str = "implementer", module: str = "tests") -> Agent:
        """Register an agent in a new worktree and open its session. Raises ThrumError."""
        agent = Agent(self, name, self.repo.worktree(name))
        nobody = Caller(kind="anonymous", agent_id="", worktree=agent.repo.path, cwd=agent.repo.path)
        self.call("agent.register", caller=nobody, name=name, role=role, module=module)
        agent.call("session.start", agent_id=name)
        return agent

    def context(self, plugin: str) -> PluginContext:
        """What the hooks of an active plugin are given as ``ctx``.

        Raises:
            LookupError: no such plugin is active.
        """
        for found, loaded in self.daemon.plugged.host.loaded.items():
            if found.name == plugin:
                return loaded.ctx
        states = {found.name: found.state for found in self.daemon.plugged.host.plugins}
        raise LookupError(f"no plugin {plugin} is active here: {states}")

    def heard(self, topic: str) -> list[Any]:
        """What is published to *topic* from now on; the list grows."""
        found: list[Any] = []
        self.daemon.topics.subscribe(topic, found.append)
        return found

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of awaiting *work* on the kernel's loop."""
        return self._runner.run(work)

    def until(self, holds: Callable[[], object], *, limit_s: float = PATIENCE_S) -> None:
        """Let the kernel work until *holds*; an assertion fails when that does not come true."""
        deadline = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < deadline, f"did not come true within {limit_s:g} s"
            self.run(asyncio.sleep(0.005))


@contextlib.contextmanager
def running(repo: Repo, *, clock: Clock, env: Mapping[str, str]) -> Iterator[Kernel]:
    """A kernel over *repo*, until the block is left.

    Args:
        clock: all that it knows of time.
        env: as a daemon's: ``THRUM_PLUGINS_STRICT`` and the like.

    Raises:
        ThrumError: it cannot start; with ``THRUM_PLUGINS_STRICT`` because a plugin failed.
    """
    where = _initialised(repo.path, env)
    with asyncio.Runner() as runner:
        opened = Opened.open(where, clock=clock, env=env, migrations=KERNEL_MIGRATIONS)
        try:
            daemon = runner.run(_started(opened, clock, env))
            try:
                yield Kernel(repo, daemon, runner)
            finally:
                runner.run(daemon.stop())
        finally:
            opened.close()


async def _started(opened: Opened, clock: Clock, env: Mapping[str, str]) -> Daemon:
    daemon = Daemon(opened, clock=clock, env=env)
    try:
        await daemon.start()
    except BaseException:
        await daemon.stop()
        raise
    return daemon


def _initialised(repo: Path, env: Mapping[str, str]) -> paths.Paths:
    """The place of a project that is initialised, as far as a kernel cares."""
    config = repo / paths.THRUM_FOLDER / "config.json"
    if not config.exists():
        config.parent.mkdir(exist_ok=True)
        config.write_text("{}\n")
    return paths.find(repo, env={"HOME": env["HOME"]})
