"""A control client on a real tmux server: it hears, asks, types, and lets go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thrum_tmux.control.reader import Reader
from thrum_tmux.live_pane import LivePane
from thrum_tmux.model import SessionRow
from thrum_tmux.server import Server

from thrum_kernel.testing.tmux import TmuxServer
from thrum_kernel.testing.waiting import until_on_loop as until

OURS = "/project/.thrum"


def make_session(tmux: TmuxServer, name: str, *command: str) -> str:
    """A session of ours; its id."""
    identifier = tmux("new-session", "-d", "-P", "-F", "#{session_id}", "-s", name, *command)
    tmux("set-option", "-t", name, "@thrum-managed", "1")
    tmux("set-option", "-t", name, "@thrum-thrum-dir", OURS)
    return identifier


@asynccontextmanager
async def hearing(tmux: TmuxServer, *, use_control: bool = True) -> AsyncIterator[Server]:
    """The server, all sessions of ours heard."""
    reader = Reader()

    def is_ours(row: SessionRow) -> bool:
        return row.thrum_dir == OURS

    server = Server(
        str(tmux.path),
        env=dict(os.environ),
        reader=reader,
        is_followed=is_ours,
        use_control=lambda: use_control,
    )
    try:
        await server.refresh()
        if use_control:
            ours = [row.id for row in server.known.sessions.values() if is_ours(row)]
            await until(lambda: all(map(server.is_heard, ours)))
        yield server
    finally:
        await server.close()
        await asyncio.to_thread(reader.close)


async def pane_of(server: Server, session: str) -> LivePane:
    snapshot = await server.now()
    assert snapshot.server is not None
    return LivePane(server, snapshot.server, snapshot.panes_of(session)[0])


AWKWARD = "-x 'a' \"b\" $HOME #{pane_id} ~ ; \\; {} %% é漢字🙂 \\n `id` end;"


def test_text_arrives_as_it_is(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "cat")
        async with hearing(tmux_server) as server:
            pane = await pane_of(server, session)

            assert await pane.type(AWKWARD)
            assert await pane.until_quiet(0.2, 5)

            assert (await pane.look()).lines[0] == AWKWARD

    asyncio.run(scenario())


def test_what_tmux_judges_false_is_not_typed(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "cat")
        async with hearing(tmux_server) as server:
            pane = await pane_of(server, session)

            assert not await pane.type("never", only_if="#{==:#{pane_current_command},vim}")
            assert not await pane.type("ne\nver", only_if="#{pane_in_mode}")
            assert not await pane.key("Enter", only_if="#{pane_in_mode}")
            assert await pane.type("once", only_if="#{!=:#{pane_in_mode},1}")
            assert await pane.until_quiet(0.2, 5)

            assert (await pane.look()).lines[:2] == ("once", "")
        assert not tmux_server("list-buffers")

    asyncio.run(scenario())


def test_quiet_is_known_without_asking(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "cat")
        async with hearing(tmux_server) as server:
            pane = await pane_of(server, session)
            written = asyncio.create_task(pane.until_output(10))
            await asyncio.sleep(0)

            tmux_server("send-keys", "-t", "one", "x")

            assert await written
            assert await pane.until_quiet(0.3, 5)
            assert pane.quiet_s() >= 0.3
            assert not await pane.until_output(0.05)

    asyncio.run(scenario())


def test_a_session_keeps_its_environment_and_outlives_us(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        make_session(tmux_server, "one", "cat")
        tmux_server("set-environment", "-t", "one", "SSH_AUTH_SOCK", "/tmp/agent.sock")
        async with hearing(tmux_server):
            assert tmux_server("show-options", "-v", "-t", "one", "destroy-unattached") == "off"

        assert tmux_server("list-sessions", "-F", "#{session_name}") == "one"
        assert "SSH_AUTH_SOCK=/tmp/agent.sock" in tmux_server("show-environment", "-t", "one")

    asyncio.run(scenario())
