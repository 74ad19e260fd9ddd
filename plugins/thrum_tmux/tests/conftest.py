"""Fixtures of this plugin's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tmux_house import House
from tmux_house import house as made

from thrum_kernel.testing.spawner import Spawner


@pytest.fixture(scope="session")
def house(thrum_spawner: Spawner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A repository with a daemon and a tmux server of its own, shared by all tests of a worker."""
    with made(thrum_spawner, tmp_path_factory.mktemp("house")) as found:
        yield found
