"""What is known of a server, through what may happen to it: on a real one."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import pytest
from test_tmux_control import hearing, make_session, pane_of
from thrum_tmux.control.activity import Activity
from thrum_tmux.errors import PaneMissing, ServerGone

from thrum_kernel.testing.tmux import TmuxServer
from thrum_kernel.testing.waiting import until_on_loop as until


def test_a_server_that_comes_back_is_heard_again_and_its_ids_mean_others(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "cat")
        async with hearing(tmux_server) as server:
            old = await pane_of(server, session)
            tmux_server.end()
            await until(lambda: not server.is_heard(session))
            with pytest.raises((ServerGone, PaneMissing)):
                await old.look()
            assert (await server.now()).sessions == {}

            tmux_server.begin()
            assert make_session(tmux_server, "one", "cat") == session
            await server.now()
            await until(lambda: server.is_heard(session))

            with pytest.raises(PaneMissing):
                await old.type("never")
            assert (await (await pane_of(server, session)).look()).lines[0] == ""

    asyncio.run(scenario())


def test_a_client_that_is_moved_leaves_and_comes_back(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "cat")
        other = tmux_server("new-session", "-d", "-P", "-F", "#{session_id}", "-s", "other", "cat")
        async with hearing(tmux_server) as server:
            client = tmux_server("list-clients", "-F", "#{client_name}")

            tmux_server("switch-client", "-c", client, "-t", other)

            await until(lambda: tmux_server("list-clients", "-t", "other") == "")
            await until(lambda: server.is_heard(session))
            assert tmux_server("list-clients", "-F", "#{session_name}") == "one"

    asyncio.run(scenario())


def test_a_client_that_is_killed_is_replaced(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "cat")
        async with hearing(tmux_server) as server:
            before = tmux_server("list-clients", "-F", "#{client_pid}")

            os.kill(int(before), signal.SIGKILL)

            await until(
                lambda: (
                    server.is_heard(session) and tmux_server("list-clients", "-F", "#{client_pid}") != before
                )
            )
            pane = await pane_of(server, session)
            assert await pane.type("still")
            assert await pane.until_quiet(0.1, 5)

    asyncio.run(scenario())


def test_sessions_and_panes_are_known_as_they_change(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "cat")
        async with hearing(tmux_server) as server:
            tmux_server("split-window", "-t", "one", "cat")
            await until(lambda: len(server.known.panes_of(session)) == 2)
            tmux_server("rename-session", "-t", "one", "two")
            await until(lambda: server.known.named("two"))
            tmux_server("new-session", "-d", "-s", "three", "cat")
            await until(lambda: server.known.named("three"))
            tmux_server("kill-session", "-t", "three")
            await until(lambda: not server.known.named("three"))
            tmux_server("kill-session", "-t", "two")
            await until(lambda: not server.is_heard(session))
            assert (await server.now()).sessions == {}

    asyncio.run(scenario())


def test_without_control_clients_quiet_is_known_in_whole_seconds(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "cat")
        async with hearing(tmux_server, use_control=False) as server:
            pane = await pane_of(server, session)
            assert await pane.type("typed")
            assert await pane.until_quiet(1.0, 20)
            assert (await pane.look()).lines[0] == "typed"
        assert tmux_server("list-clients") == ""

    asyncio.run(scenario())


def test_a_pane_that_writes_without_end_is_busy_and_the_loop_is_not(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        program = "trap 'exec cat' INT; while :; do seq 500; sleep 0.02; done"
        session = make_session(tmux_server, "one", program)
        quiet = make_session(tmux_server, "two", "cat")
        async with hearing(tmux_server) as server:
            noisy, still = await pane_of(server, session), await pane_of(server, quiet)

            assert await still.until_quiet(1.5, 20)
            assert not await noisy.until_quiet(0.5, 1.5)
            assert len((await noisy.look()).lines) == 24

            # Not respawn-pane: tmux 3.3a ends when a control client is behind with the pane's output.
            assert await noisy.key("C-c")
            assert await noisy.until_quiet(0.5, 60)

    asyncio.run(scenario())


def test_a_pane_that_was_held_back_is_quiet_again(
    tmux_server: TmuxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote, paused = Activity.wrote, threading.Event()
    next_s = 0.0

    def slow(self: Activity, pane: str) -> None:
        nonlocal next_s
        wrote(self, pane)
        if not paused.is_set() and time.monotonic() > next_s:
            time.sleep(2.5)  # longer than pause-after: tmux holds back what comes
            next_s = time.monotonic() + 1

    def told(self: Activity, pane: str) -> None:
        self._paused.add(pane)
        wrote(self, pane)
        paused.set()

    monkeypatch.setattr(Activity, "paused", told)

    async def scenario() -> None:
        session = make_session(tmux_server, "one", "trap : INT; yes; exec cat")
        async with hearing(tmux_server) as server:
            noisy = await pane_of(server, session)
            monkeypatch.setattr(Activity, "wrote", slow)
            await until(paused.is_set)
            assert await noisy.key("C-c")
            assert await noisy.until_quiet(0.5, 15)

    asyncio.run(scenario())


def test_a_pane_that_writes_without_end_is_respawned_while_nobody_hears_it(tmux_server: TmuxServer) -> None:
    async def scenario() -> None:
        session = make_session(tmux_server, "one", "exec yes")
        async with hearing(tmux_server) as server:
            life = server.known.server
            for _ in range(10):
                pane = await pane_of(server, session)
                async with server.unheard(session):
                    assert not server.is_heard(session)
                    await asyncio.to_thread(server.process.ask, ("respawn-pane", "-k", "-t", pane.id))
                await until(lambda: server.is_heard(session))
            await server.refresh()
            assert server.known.server == life

    asyncio.run(scenario())
