"""Worlds for tests of single events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from projection_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Of alice here and bob elsewhere."""
    made = World(tmp_path / "messages.db")
    yield made
    made.cache.close()
