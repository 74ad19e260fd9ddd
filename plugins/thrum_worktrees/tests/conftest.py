"""Fixtures that several files share."""

from __future__ import annotations

import pytest

from thrum_kernel.testing.harness import Cli


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`cli` that stops when a plugin is broken."""
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")
