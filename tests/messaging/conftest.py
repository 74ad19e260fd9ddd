from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from messaging_world import FakeClock, World


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def world(tmp_path: Path, clock: FakeClock, anyio_backend: str) -> AsyncIterator[World]:
    """One daemon with alice (coordinator), bob and carol (implementers), each in an open session."""
    made = World(tmp_path, "d_HERE", clock)
    await made.register("alice", "coordinator")
    await made.register("bob")
    await made.register("carol")
    yield made
    await made.close()


@pytest.fixture
async def elsewhere(tmp_path: Path, clock: FakeClock, anyio_backend: str) -> AsyncIterator[World]:
    """Another daemon, with dora (reviewer) and a bob of its own."""
    (tmp_path / "elsewhere").mkdir()
    made = World(tmp_path / "elsewhere", "d_AWAY", clock)
    await made.register("dora", "reviewer")
    await made.register("bob", "tester")
    yield made
    await made.close()
