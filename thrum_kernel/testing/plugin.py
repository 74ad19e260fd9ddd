"""Fixtures for tests of Thrum and of its plugins, found by pytest through the entry point ``thrum``.

Nothing of ours is imported at module level: a pytest run that uses none of this pays nothing and measures nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from thrum_kernel.testing.clock import SettableClock
    from thrum_kernel.testing.clones import TwoClones
    from thrum_kernel.testing.harness import Cli, Repo
    from thrum_kernel.testing.kernel import Kernel
    from thrum_kernel.testing.spawner import Spawner
    from thrum_kernel.testing.tmux import TmuxServer


def pytest_configure(config: pytest.Config) -> None:
    """Let every program that a test starts be interrupted, also in a run that itself is not to be.

    A shell that starts a run in the background has it ignore SIGINT and SIGQUIT, and what is ignored stays so in every
    program that is started. One that is caught is not, though nothing is done about it here.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGQUIT):
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, _do_nothing)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """As if it were ignored."""


@pytest.fixture(scope="session")
def thrum_spawner() -> Iterator[Spawner]:
    """Starts programs that have no agent runtime above them."""
    from thrum_kernel.testing.spawner import Spawner

    spawner = Spawner()
    yield spawner
    spawner.close()


@pytest.fixture
def isolated_home(tmp_path: Path) -> dict[str, str]:
    """An environment with a HOME of the test's own and no setting of the person's."""
    from thrum_kernel.testing.harness import clean_environment

    home = tmp_path / "home"
    home.mkdir()
    return clean_environment(home)


@pytest.fixture
def repo(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    """A git repository with one commit, not initialised for thrum."""
    from thrum_kernel.testing.harness import Repo

    return Repo.make(tmp_path / "project", isolated_home)


@pytest.fixture
def cli(repo: Repo, thrum_spawner: Spawner) -> Iterator[Cli]:
    """The installed command, typed in `repo`; a daemon that it started is stopped at the end."""
    from thrum_kernel.testing.harness import Cli, stop_daemon

    command = Cli(thrum_spawner, repo.path, repo.env)
    yield command
    stop_daemon(command)


@pytest.fixture
def daemon(cli: Cli) -> Cli:
    """`cli` in a repository that is initialised and whose daemon runs."""
    cli("init", "--non-interactive")
    return cli


@pytest.fixture
def clock() -> SettableClock:
    """The time of `kernel`: stands at the first moment of 2026 until the test moves it."""
    from thrum_kernel.testing.clock import SettableClock

    return SettableClock()


@pytest.fixture
def kernel(repo: Repo, clock: SettableClock, isolated_home: dict[str, str]) -> Iterator[Kernel]:
    """A kernel in this process over `repo`, with every installed plugin active, or the test fails. Fast."""
    from thrum_kernel.testing.kernel import running

    with running(repo, clock=clock, env={"THRUM_PLUGINS_STRICT": "1", **isolated_home}) as made:
        yield made


@pytest.fixture
def two_clones(tmp_path: Path, isolated_home: dict[str, str], thrum_spawner: Spawner) -> Iterator[TwoClones]:
    """Two clones of one bare remote, each initialised and with a daemon of its own that runs."""
    from thrum_kernel.testing.clones import TwoClones

    made = TwoClones.make(tmp_path / "clones", isolated_home, thrum_spawner)
    yield made
    made.stop()


@pytest.fixture
def tmux_server(isolated_home: dict[str, str]) -> Iterator[TmuxServer]:
    """A real tmux server of the test's own, which runs and has no sessions yet."""
    import shutil
    import tempfile

    from thrum_kernel.testing.tmux import tmux_server as started

    # A socket's path may have about a hundred bytes; a test's own folder can be longer.
    folder = tempfile.mkdtemp(prefix="thrum-tmux-")
    with started({"TERM": "xterm-256color", **isolated_home, "TMUX_TMPDIR": folder}) as server:
        server.begin()
        yield server
    shutil.rmtree(folder)
