"""The installed script, a project, and a small daemon that serves it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("cli_program")

from cli_daemon import SmallDaemon  # noqa: E402
from cli_program import ROOT, Program, environment, install, project  # noqa: E402

from thrum_kernel import __version__  # noqa: E402


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The thin client, installed with a Python beside it."""
    return install(tmp_path_factory.mktemp("installed") / "env", version=__version__)


@pytest.fixture
def thrum(script: Path, tmp_path: Path) -> Program:
    """The thin client, typed in an initialised project."""
    project(tmp_path / "project")
    return Program((str(script),), tmp_path / "project", environment(tmp_path / "home"))


@pytest.fixture
def in_process(thrum: Program) -> Program:
    """The same commands in process."""
    words = (sys.executable, str(ROOT / "tests/cli/cli_inprocess.py"))
    return Program(words, thrum.cwd, thrum.env)


@pytest.fixture
def socket(thrum: Program) -> Path:
    """Where the project's daemon listens."""
    return thrum.cwd / ".thrum" / "var" / "thrum.sock"


@pytest.fixture
def daemon(socket: Path) -> Iterator[SmallDaemon]:
    """The project's daemon, running."""
    with SmallDaemon(socket) as running:
        yield running
