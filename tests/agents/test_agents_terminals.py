"""Identity files for whoever runs terminals: listed, told where their agent is shown, set aside when nobody needs them."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from agents_house import House, Processes

from thrum_kernel.api import KERNEL_CALLER
from thrum_kernel.errors import MethodNotFound, NotFound


async def ask(house: House, method: str, **params: Any) -> Any:
    """As the daemon and its plugins ask."""
    return await house.dispatcher.call(method, params, caller=KERNEL_CALLER)


def file_of(worktree: Path, name: str) -> Path:
    return worktree / ".thrum" / "identities" / f"{name}.json"


def test_identities_of_all_worktrees_are_listed(repo: Path, worktree: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            runtime, child = processes.runtime(worktree)
            await house.register(processes.at(repo), "alice")
            await house.register(child, "bob")

            everyone = (await ask(house, "agent.identities"))["identities"]

            assert [(each["name"], each["worktree"]) for each in everyone] == [
                ("alice", str(repo)),
                ("bob", str(worktree)),
            ]
            (bob,) = (await ask(house, "agent.identities", worktree=str(worktree)))["identities"]
            assert (bob["agent_pid"], bob["is_running"], bob["file"]) == (
                runtime,
                True,
                str(file_of(worktree, "bob")),
            )
            assert not (await ask(house, "agent.identities", name="nobody"))["identities"]

    asyncio.run(main())


def test_where_an_agent_is_shown_is_noted_and_a_dead_process_forgotten(
    repo: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            runtime, child = processes.runtime(repo)
            await house.register(child, "alice", runtime="claude")
            noted = await ask(house, "agent.setTerminal", name="alice", tmux_session="one:1.1")
            assert (noted["tmux_session"], noted["agent_pid"]) == ("one:1.1", runtime)

            processes.end(runtime)
            await ask(house, "agent.setTerminal", name="alice", tmux_session="", runtime="codex")

            written = json.loads(file_of(repo, "alice").read_bytes())
            assert "tmux_session" not in written
            assert "agent_pid" not in written
            assert (written["runtime"], written["preferred_runtime"]) == ("codex", "claude")
            with pytest.raises(NotFound):
                await ask(house, "agent.setTerminal", name="nobody", tmux_session="x:0.0")

    asyncio.run(main())


def test_only_files_that_nobody_needs_are_set_aside(repo: Path, worktree: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            await house.register(processes.at(worktree), "alice")
            await house.register(processes.at(repo), "bob")
            for name in ("stray", "wanted"):
                content = json.loads(file_of(worktree, "alice").read_bytes())
                content["agent"]["name"] = name
                file_of(worktree, name).write_text(json.dumps(content))
            shutil.copy(file_of(repo, "bob"), file_of(worktree, "bob"))

            (await ask(house, "agent.keepOnly", worktree=str(worktree), keep=["wanted"]))

            left = sorted(path.stem for path in (worktree / ".thrum" / "identities").glob("*.json"))
            assert left == ["alice", "wanted"]
            quarantined = [
                path.name for path in (worktree / ".thrum" / "identities" / ".quarantine").iterdir()
            ]
            assert sorted(name.partition(".")[0] for name in quarantined) == ["bob", "stray"]

    asyncio.run(main())


def test_nobody_but_the_daemon_asks(repo: Path) -> None:
    async def main() -> None:
        async with House(repo) as house:
            for method in ("agent.identities", "agent.setTerminal", "agent.keepOnly"):
                with pytest.raises(MethodNotFound):
                    await house.call(method, name="x", worktree=str(repo))

    asyncio.run(main())
