"""Agents come to an end, or move: only those of this daemon, and never by accident."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from agents_house import DAEMON, FAR_DAEMON, House, Processes, git

from thrum_kernel.api import Caller
from thrum_kernel.errors import NotFound, NotYours, ParamsInvalid, Refused, UnknownAgent
from thrum_kernel.events.core import AgentCleanup, AgentMove, AgentRegister, SessionEnd

DAY_US = 24 * 3600 * 1_000_000


def file_of(worktree: Path, name: str) -> Path:
    return worktree / ".thrum" / "identities" / f"{name}.json"


def from_afar(house: House, name: str) -> AgentRegister:
    agent = house.committer.draft(AgentRegister, agent_id=name, role="builder", module="web", hostname="far")
    house.project_from_afar(agent, daemon=FAR_DAEMON)
    return agent


def test_delete_ends_sessions_and_removes_the_files(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        forgotten: list[tuple[Path, str]] = []
        async with House(repo, forget_context=lambda place, name: forgotten.append((place, name))) as house:
            here = processes.at(repo)
            session = (await house.register(here, "alice"))["session_id"]
            answer = await house.call("agent.delete", here, name="@alice")
            assert (answer["agent_id"], answer["deleted"]) == ("alice", True)
            assert [event.session_id for event in house.committed(SessionEnd)] == [session]
            [event] = house.committed(AgentCleanup)
            assert (event.agent_id, event.method) == ("alice", "manual")
            assert not file_of(repo, "alice").exists()
            assert forgotten == [(repo, "alice")]
            for table in ("agent_homes", "agent_sessions", "agent_contexts", "agent_identity_files"):
                assert house.local.read(f"SELECT count(*) FROM {table}") == [(0,)], table
            with pytest.raises(NotFound, match="agent not found: alice"):
                await house.call("agent.delete", name="alice")

    asyncio.run(main())


def test_delete_of_a_running_agent_needs_force(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            runtime, below = processes.runtime(repo)
            await house.register(below, "alice")
            with pytest.raises(Refused, match=f"running \\(PID {runtime}\\)"):
                await house.call("agent.delete", below, name="alice")
            assert file_of(repo, "alice").exists()
            gone = await house.call("agent.delete", below, name="alice", force=True)
            assert gone["notes"] == [f"the runtime of alice (PID {runtime}) still runs, and is nobody's now"]
            assert (await house.call("agent.list"))["agents"] == []

    asyncio.run(main())


def test_another_agent_ends_an_agent_only_with_force_and_somebody_is_told(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        told: list[tuple[str, list[str]]] = []

        async def send(text: str, names: Sequence[str]) -> None:
            told.append((text, list(names)))

        async with House(repo, send=send) as house:
            here, linked = processes.at(repo), processes.at(worktree)
            for name in ("alice", "eve"):
                await house.register(here, name)
            await house.register(here, "boss", role="coordinator")
            session = (await house.register(linked, "bob"))["session_id"]
            await house.call("session.end", linked, session_id=session)
            alice = Caller(kind="agent", agent_id="alice", source="process", worktree=repo, runtime_pid=7)
            boss = replace(alice, agent_id="boss")
            for method in ("agent.delete", "agent.leave"):
                with pytest.raises(NotYours, match="agent bob is @bob's, and you are @alice"):
                    await house.call(method, alice, name="bob")
            assert file_of(worktree, "bob").exists()

            left = await house.call("agent.leave", alice, name="bob", force=True)
            gone = await house.call("agent.delete", alice, name="bob", force=True)

            assert left["notes"] == [
                "agent bob was not yours: moved out of its worktree all the same; @bob and @boss were told"
            ]
            assert gone["notes"] == ["agent bob was not yours: deleted all the same; @boss was told"]
            assert told == [
                ("@alice had agent bob moved out of its worktree, with --force", ["bob", "boss"]),
                ("@alice had agent bob deleted, with --force", ["boss"]),
            ]
            assert "notes" not in await house.call("agent.delete", boss, name="eve", force=True)
            assert "notes" not in await house.call("agent.delete", alice, name="alice", force=True)
            assert len(told) == 2

    asyncio.run(main())


def test_an_agent_that_leaves_its_worktree_stays_registered(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here, linked = processes.at(repo), processes.at(worktree)
            session = (await house.register(linked, "bob"))["session_id"]
            await house.register(here, "alice")
            with pytest.raises(Refused, match=f"bob has an open session \\({session}\\)"):
                await house.call("agent.leave", here, name="bob")
            assert file_of(worktree, "bob").exists()

            left = await house.call("agent.leave", here, name="bob", force=True)

            assert left == {"agent_id": "bob", "worktrees": [str(worktree)]}
            assert [event.session_id for event in house.committed(SessionEnd)] == [session]
            assert house.committed(AgentCleanup) == [] and not file_of(worktree, "bob").exists()
            await house.register(linked, "carol")
            assert (await house.agents.reconcile()).written_back == [], "the place is another's now"
            assert not file_of(worktree, "bob").exists()
            assert (await house.call("agent.leave", here, name="bob"))["worktrees"] == []
            await house.register(here, "bob")
            assert file_of(repo, "bob").exists()

    asyncio.run(main())


def test_delete_of_somebody_else_in_a_session_needs_force(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here, linked = processes.at(repo), processes.at(worktree)
            await house.register(here, "alice")
            session = (await house.register(linked, "bob"))["session_id"]
            with pytest.raises(Refused, match=f"bob has an open session \\({session}\\)") as refused:
                await house.call("agent.delete", here, name="bob")
            assert "--force" in refused.value.hint
            assert file_of(worktree, "bob").exists()
            await house.call("session.end", linked, session_id=session)
            await house.call("agent.delete", here, name="bob")
            await house.register(linked, "carol")
            await house.call("agent.delete", here, name="carol", force=True)
            await house.call("agent.delete", here, name="alice")
            assert (await house.call("agent.list"))["agents"] == []

    asyncio.run(main())


def test_agents_of_another_daemon_are_never_touched(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            from_afar(house, "zoe")
            for name in ("zoe", "zoe@far"):
                with pytest.raises(Refused, match="another daemon"):
                    await house.call("agent.delete", here, name=name, force=True)
            house.clock.ahead_us += 400 * DAY_US
            swept = await house.call("agent.cleanup", here, force=True, threshold=0)
            assert (swept["orphans"], swept["deleted"]) == ([], [])
            assert {agent["agent_id"] for agent in (await house.call("agent.list"))["agents"]} == {
                "alice",
                "zoe",
            }

    asyncio.run(main())


def test_cleanup_finds_agents_without_a_file_in_any_worktree(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            linked = processes.at(worktree)
            await house.register(linked, "bob")
            _, below = processes.runtime(repo)
            await house.register(below, "carol")
            lost = processes.at(repo)
            await house.register(lost, "a_b")
            await house.register(lost, "axb")
            file_of(repo, "carol").unlink()
            file_of(repo, "a_b").unlink()

            looked = await house.call("agent.cleanup", below, dry_run=True, force=True)
            [orphan] = looked["orphans"]
            assert (orphan["agent_id"], orphan["worktree_missing"], orphan["branch_missing"]) == (
                "a_b",
                False,
                False,
            )
            assert (looked["deleted"], looked["dry_run"]) == ([], True)
            assert (await house.call("agent.cleanup", below))["deleted"] == []
            swept = await house.call("agent.cleanup", below, force=True)
            assert swept["deleted"] == ["a_b"]
            [event] = house.committed(AgentCleanup)
            assert (event.agent_id, event.method) == ("a_b", "automated")
            left = {agent["agent_id"] for agent in (await house.call("agent.list"))["agents"]}
            assert left == {"alice", "bob", "carol", "axb"}

    asyncio.run(main())


def test_cleanup_tells_of_removed_worktrees_and_of_agents_not_seen_for_long(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            await house.register(processes.at(worktree), "bob")
            git("worktree", "remove", "--force", str(worktree), cwd=repo)
            shutil.rmtree(worktree, ignore_errors=True)
            git("branch", "-D", "feature", cwd=repo)
            house.clock.ahead_us += 40 * DAY_US
            looked = await house.call("agent.cleanup", here)
            [orphan] = looked["orphans"]
            assert (orphan["agent_id"], orphan["worktree_missing"], orphan["branch_missing"]) == (
                "bob",
                True,
                True,
            )
            assert orphan["days_since_last_seen"] == 40
            assert "alice" in looked["message"]
            with pytest.raises(ParamsInvalid, match="threshold"):
                await house.call("agent.cleanup", here, threshold=-1)

    asyncio.run(main())


def test_move_hands_an_agent_over(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            await house.register(here, "zoe")
            from_afar(house, "zoe")
            with pytest.raises(NotFound, match="daemon not found: moon"):
                await house.call("agent.move", name="alice", to="moon")
            with pytest.raises(Refused, match="has an agent zoe already"):
                await house.call("agent.move", name="zoe", to="far")
            moved = await house.call("agent.move", name="alice", to="far")
            assert (moved["to_daemon"], moved["daemon"]) == (FAR_DAEMON, "far")
            [event] = house.committed(AgentMove)
            assert (event.from_daemon, event.adopted) == (DAEMON, False)
            assert not file_of(repo, "alice").exists()
            with pytest.raises(Refused, match="another daemon"):
                await house.call("agent.delete", name="alice")
            assert len(house.committed(SessionEnd)) == 1

    asyncio.run(main())


def test_adopt_takes_over_only_when_the_old_home_is_gone(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            from_afar(house, "zoe")
            with pytest.raises(Refused, match="already lives on this daemon"):
                await house.call("agent.adopt", name="alice")
            with pytest.raises(Refused, match="heard of within the last 24 hours"):
                await house.call("agent.adopt", name="zoe@far")
            with pytest.raises(UnknownAgent, match="agent not found: zoe@mars") as unknown:
                await house.call("agent.adopt", name="zoe@mars")
            assert unknown.value.hint == "did you mean @zoe@far?"
            house.clock.ahead_us += 2 * DAY_US
            adopted = await house.call("agent.adopt", name="zoe@far")
            assert adopted["to_daemon"] == DAEMON
            await house.register(here, "zoe", role="builder", module="web")
            [zoe] = [row for row in (await house.call("team.list"))["members"] if row["agent_id"] == "zoe"]
            assert (zoe["adopted"], zoe["is_local"]) == (True, True)
            assert len(house.committed(AgentRegister)) == 2

    asyncio.run(main())
