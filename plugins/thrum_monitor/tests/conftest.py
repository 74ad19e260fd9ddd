"""Fixtures that several files share."""

from __future__ import annotations

import pytest
from monitor_house import House

from thrum_kernel.testing.harness import Cli, Repo


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`cli` that stops when a plugin is broken."""
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")


@pytest.fixture
def house(cli: Cli, repo: Repo) -> House:
    """A project with a daemon, in which rev is an agent."""
    cli("init", "--non-interactive")
    cli("agent", "register", "--name", "rev", "--role", "reviewer", "--module", "main")
    return House(cli, repo)
