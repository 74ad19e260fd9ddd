"""A dispatcher with methods of every kind, served on a real socket, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from bus_house import House, Line, Serve

from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.unix import Limits, UnixServer


@pytest.fixture(params=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def house(anyio_backend: Any) -> House:
    return House()


@pytest.fixture
async def serve(house: House, tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts a Unix server: ``server = await serve(limits=…)``; stopped after the test."""
    servers: list[UnixServer] = []

    async def start(
        *, path: Path | None = None, dispatcher: Dispatcher | None = None, **more: Any
    ) -> UnixServer:
        server = UnixServer(
            dispatcher or house.dispatcher(),
            house.topics,
            path or tmp_path / "thrum.sock",
            resolver=house.resolve,
            limits=more.pop("limits", Limits()),
            **more,
        )
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop(limit_s=0.5)


@pytest.fixture
async def dial(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens a raw client: ``line = await dial(path)``; closed after the test."""
    lines: list[Line] = []

    async def open_line(path: Path | None = None) -> Line:
        reader, writer = await asyncio.open_unix_connection(
            str(path or tmp_path / "thrum.sock"), limit=1 << 24
        )
        lines.append(Line(reader, writer))
        return lines[-1]

    yield open_line
    for line in lines:
        line.writer.close()
        with contextlib.suppress(OSError):
            await line.writer.wait_closed()
