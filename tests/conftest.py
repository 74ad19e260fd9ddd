"""The kernel's own tests: real repositories and daemons without the plugins that are installed beside it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from thrum_kernel.testing.harness import clean_environment

INSTALLED = ",".join(sorted(entry.name for entry in metadata.entry_points(group="thrum.plugins")))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation", "the simulation of daemons and their remote, tests/simulation")
    group.addoption("--seed", type=int, action="append", default=[], help="tell this story only (again)")
    group.addoption("--seeds", type=int, default=0, help="tell so many stories")


@pytest.fixture
def isolated_home(tmp_path: Path) -> dict[str, str]:
    """As the harness's, with the kernel alone and what a test installs itself."""
    home = tmp_path / "home"
    home.mkdir()
    return {**clean_environment(home), "THRUM_PLUGINS_DISABLE": INSTALLED}


@pytest.fixture(scope="module")
def kernel_alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As `isolated_home`, for what all tests of a module share."""
    home = tmp_path_factory.mktemp("home")
    return {**clean_environment(home), "THRUM_PLUGINS_DISABLE": INSTALLED}
