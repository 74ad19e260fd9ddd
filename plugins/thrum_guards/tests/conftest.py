"""Fixtures of the guards' tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from guards_house import House

from thrum_kernel.testing.harness import Cli, Repo


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`cli` whose daemon refuses to run with a plugin that cannot be loaded."""
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")


@pytest.fixture
def outdoors(cli: Cli, repo: Repo) -> Iterator[House]:
    """The same before it is initialised."""
    folder = Path(tempfile.mkdtemp(prefix="thrum"))
    house = House(cli, repo, folder)
    yield house
    for runtime in reversed(house.runtimes):
        runtime.end()
    shutil.rmtree(folder)


@pytest.fixture
def house(outdoors: House) -> House:
    outdoors.cli("init", "--non-interactive", "--roles", "skip")
    plugins = outdoors.cli("plugin", "list").split("\n")
    assert any(line.split()[:2] == ["guards", "active"] for line in plugins), plugins
    return outdoors
