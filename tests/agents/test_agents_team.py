"""Who is there, what they do, and who one is."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from agents_house import FAR_DAEMON, House, Processes, git

from thrum_kernel import git as git_room
from thrum_kernel.agents import set_own_status, whoami_from_files
from thrum_kernel.agents.git_facts import GitFacts
from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import (
    GuardFired,
    IdentityAmbiguous,
    IdentityMissing,
    NotFound,
    Refused,
    UnknownAgent,
    UsageError,
)
from thrum_kernel.events.core import (
    AgentRegister,
    AgentUpdate,
    MessageCreate,
    Recipient,
    SessionStart,
    WorkContext,
)
from thrum_kernel.identity import probe


def from_afar(house: House, name: str, *, hostname: str = "far", **context: Any) -> AgentRegister:
    """An agent of another daemon with an open session and a work context."""
    agent = house.committer.draft(
        AgentRegister, agent_id=name, role="builder", module="web", hostname=hostname, worktree="there"
    )
    session = house.committer.draft(
        SessionStart, session_id=f"ses_{name}", agent_id=name, incarnation=agent.ulid
    )
    update = house.committer.draft(
        AgentUpdate,
        agent_id=name,
        incarnation=agent.ulid,
        work_contexts=[WorkContext(session_id=f"ses_{name}", **context)],
    )
    house.project_from_afar(agent, session, update, daemon=FAR_DAEMON)
    return agent


def test_team_has_one_row_an_agent_and_long_names_where_a_bare_one_means_another(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def facts(name: str) -> Mapping[str, Any]:
        return {"tmux_session": f"{name}:0.0", "tmux_state": "alive", "queue": 2} if name == "alice" else {}

    async def main() -> None:
        async with House(repo, agent_facts=facts) as house:
            runtime, below = processes.runtime(repo)
            await house.register(below, "alice")
            _, below_too = processes.runtime(repo)
            await house.call("session.start", below_too, agent_id="alice")
            idle = await house.register(processes.at(worktree), "bob")
            await house.call("session.end", processes.at(worktree), session_id=idle["session_id"])
            from_afar(house, "alice", intent="there")
            from_afar(house, "zoe")

            active = (await house.call("team.list"))["members"]
            assert [member["agent_id"] for member in active] == ["alice", "alice@far", "zoe"]
            alice, far_alice, _ = active
            assert (alice["agent_pid"], alice["runtime"], alice["is_local"]) == (runtime, "claude", True)
            assert (alice["worktree"], alice["worktree_path"]) == ("repo", str(repo))
            assert "worktree_missing" not in alice
            assert (alice["tmux_session"], alice["tmux_state"], alice["facts"]) == (
                "alice:0.0",
                "alive",
                {"queue": 2},
            )
            assert (far_alice["intent"], far_alice["hostname"], "is_local" in far_alice) == (
                "there",
                "far",
                False,
            )
            everyone = (await house.call("team.list", include_offline=True))["members"]
            assert [(member["agent_id"], member["status"]) for member in everyone] == [
                ("alice", "active"),
                ("bob", "offline"),
                ("alice@far", "active"),
                ("zoe", "active"),
            ]
            worktree.rename(worktree.with_name("away"))
            (bob,) = [
                member
                for member in (await house.call("team.list", include_offline=True))["members"]
                if member["agent_id"] == "bob"
            ]
            assert (bob["worktree_path"], bob["worktree_missing"]) == (str(worktree), True)
            worktree.with_name("away").rename(worktree)
            listed = (await house.call("agent.list", role="builder"))["agents"]
            assert {agent["agent_id"] for agent in listed} == {"alice@far", "zoe"}
            assert (await house.call("agent.lookup", name="@alice@far"))["member"]["agent_id"] == "alice@far"
            assert (await house.call("agent.lookup", name="nobody"))["member"] is None

    asyncio.run(main())


def test_team_counts_mail_and_shows_reserved_agents_when_asked(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo, claimed=lambda: ("supervisor_*",)) as house:
            await house.register(processes.at(repo), "alice")
            await house.call(
                "agent.register",
                name="supervisor_repo",
                role="supervisor",
                module="all",
                worktree=str(repo),
            )
            alice = house.agents.roster.local("alice")
            message = house.committer.draft(
                MessageCreate,
                agent_id="supervisor_repo",
                incarnation=house.agents.roster.local("supervisor_repo").incarnation,
                body={"content": "hello"},
                recipients=[Recipient(alice.name, alice.daemon, alice.incarnation)],
                audience=[{"type": "broadcast", "value": "everyone"}],
            )
            message = house.types.decode(house.types.encode(message))  # type: ignore[assignment]
            await house.committer.commit(message)
            team = await house.call("team.list")
            [member] = team["members"]
            assert (member["inbox_total"], member["inbox_unread"]) == (1, 1)
            assert team["shared_messages"]["broadcast_total"] == 1
            system = (await house.call("team.list", include_system=True))["members"]
            assert [(row["agent_id"], row["status"]) for row in system] == [
                ("alice", "active"),
                ("supervisor_repo", "reserved"),
            ]

    asyncio.run(main())


def test_who_has_a_file_is_told_by_git_and_by_exact_path_parts(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            await house.register(processes.at(repo), "alice")
            there = processes.at(worktree / "src")
            await house.register(there, "bob")
            from_afar(house, "zoe", branch="web", changed_files=["lib/auth.py"])

            async def who(file: str, by: int = 0, **params: str) -> list[str]:
                answer = await house.call("agent.listContext", by or processes.at(repo), file=file, **params)
                return [context["agent_id"] for context in answer["contexts"]]

            assert await who("src/auth.py") == []
            (worktree / "src" / "auth.py").write_text("two\n")
            (worktree / "src" / "axpy").write_text("new\n")
            for _ in range(500):  # what git said is kept for a moment
                if await who("src/auth.py") == ["bob"]:
                    break
                await asyncio.sleep(0.02)
            assert await who("src/auth.py") == ["bob"]
            assert await who("auth.py") == ["bob", "zoe"]
            assert await who("auth.py", branch="web") == ["zoe"]
            assert await who("./src/../src/auth.py") == ["bob"]
            assert await who(str(worktree / "src" / "auth.py")) == ["bob"]
            assert await who(str(repo / "src" / "auth.py")) == ["bob"]
            assert await who(str(repo / "auth.py")) == []
            assert await who("auth.py", there) == ["bob", "zoe"]
            for outside in ("/etc/passwd", str(repo.parent / "x.py"), str(repo), "../../../x.py"):
                with pytest.raises(UsageError, match="is no file in this repository"):
                    await who(outside, there)
            assert await who("../src/auth.py", there) == ["bob"]
            assert await who("uth.py") == []
            assert await who("a_py") == []
            assert await who("src/%") == []
            everything = await house.call("agent.listContext", agent_id="bob")
            [context] = everything["contexts"]
            assert context["branch"] == "feature"
            assert context["uncommitted_files"] == ["src/auth.py", "src/axpy"]
            git("commit", "-aqm", "change", cwd=worktree)
            [context] = (await house.call("agent.listContext", agent_id="@bob"))["contexts"]
            assert [commit["message"] for commit in context["unmerged_commits"]] == ["change"]
            assert context["changed_files"] == ["src/auth.py"]

    asyncio.run(main())


def test_git_is_asked_once_for_twenty_agents_in_one_worktree(repo: Path) -> None:
    async def main() -> None:
        looks: list[Path] = []
        lock = threading.Lock()

        def look(path: Path) -> git_room.WorkState:
            with lock:
                looks.append(path)
            return git_room.work_state(path)

        facts = GitFacts(look, clock=SystemClock())
        states = await facts.states([repo] * 20, max_age_s=60)
        assert states[repo].branch == "main"
        await asyncio.gather(*(facts.state(repo, max_age_s=60) for _ in range(20)))
        assert looks == [repo]
        git("checkout", "-qb", "other", cwd=repo)
        state = await facts.state(repo, max_age_s=60)
        assert state is not None and state.branch == "other"
        assert len(looks) == 2

    asyncio.run(main())


def test_whoami_answers_for_the_caller_and_for_nobody_else(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            with pytest.raises(IdentityMissing, match="in this worktree"):
                await house.call("agent.whoami", processes.at(repo))
            with pytest.raises(IdentityMissing, match="where you stand: / is in no worktree") as outside:
                await house.call("agent.whoami", processes.at(Path("/")))
            assert "--repo says which repository" in outside.value.hint
            await house.register(processes.at(repo), "alice", intent="look around")
            who = await house.call("agent.whoami", processes.at(repo / "src"))
            assert (who["agent_id"], who["role"], who["branch"], who["intent"]) == (
                "alice",
                "tester",
                "main",
                "look around",
            )
            assert (who["host"], who["is_local"], who["worktree"]) == ("here", True, str(repo))
            with pytest.raises(IdentityMissing):
                await house.call("agent.whoami", processes.at(worktree))
            await house.register(processes.at(repo), "bob")
            with pytest.raises(IdentityAmbiguous, match="alice, bob"):
                await house.call("agent.whoami", processes.at(repo))

    asyncio.run(main())


def test_an_intent_set_is_told_without_a_daemon_too(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            session = (await house.register(here, "alice"))["session_id"]
            await house.call("session.setIntent", here, session_id=session, intent="mend login")
            assert (await house.call("agent.whoami", here))["intent"] == "mend login"

    asyncio.run(main())
    who = whoami_from_files(repo, env={}, facts=None)
    assert (who.agent_id, who.intent, who.source, who.branch) == (
        "alice",
        "mend login",
        "identity_file",
        "main",
    )
    overridden = whoami_from_files(repo, env={"THRUM_ROLE": "builder"}, facts=None, module="web")
    assert (overridden.role, overridden.module) == ("builder", "web")
    with pytest.raises(GuardFired, match="identity_mismatch"):
        whoami_from_files(repo, env={"THRUM_AGENT_ID": "bob"}, facts=None)


def test_whoami_without_a_daemon_says_what_is_missing_or_too_many(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            _, below = processes.runtime(repo)
            await house.register(below, "alice")
            await house.register(processes.at(repo), "bob")
            facts = probe.facts(below)
            assert whoami_from_files(repo, env={}, facts=facts).agent_id == "alice"
            assert whoami_from_files(repo, env={"THRUM_NAME": "bob"}, facts=facts).agent_id == "bob"

    asyncio.run(main())
    with pytest.raises(IdentityMissing):
        whoami_from_files(worktree, env={}, facts=None)
    with pytest.raises(IdentityAmbiguous, match="alice, bob"):
        whoami_from_files(repo, env={"THRUM_NAME": "carol"}, facts=None)


def test_status_is_set_in_the_file_by_the_daemon_and_without_it(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            from_afar(house, "zoe")
            with pytest.raises(UsageError) as caught:
                await house.call("agent.set-status", here, agent="alice", status="asleep")
            assert str(caught.value) == 'invalid status "asleep": must be working, idle, blocked, or stuck'
            with pytest.raises(NotFound, match=r"^agent carol not found$"):
                await house.call("agent.set-status", here, agent="carol", status="idle")
            with pytest.raises(Refused, match="another daemon"):
                await house.call("agent.set-status", here, agent="zoe", status="idle")
            await house.call("agent.set-status", here, agent="@alice", status="stuck")
            [member] = [
                row for row in (await house.call("team.list"))["members"] if row["agent_id"] == "alice"
            ]
            assert member["agent_status"] == "stuck"

    asyncio.run(main())
    done = set_own_status(repo, "working", env={}, facts=None, clock=SystemClock())
    file = json.loads((repo / ".thrum" / "identities" / "alice.json").read_text())
    assert (done.agent, file["agent_status"]) == ("alice", "working")
    assert file["agent_status_updated_at"] > "2000"
    with pytest.raises(UsageError):
        set_own_status(repo, "asleep", env={}, facts=None, clock=SystemClock())


def test_lookup_of_an_ambiguous_name_is_refused(repo: Path) -> None:
    async def main() -> None:
        async with House(repo) as house:
            from_afar(house, "zoe")
            other = house.committer.draft(
                AgentRegister, agent_id="zoe", role="builder", module="web", hostname="moon"
            )
            house.project_from_afar(other, daemon="d_01J0000000000000000000MNNN")
            with pytest.raises(NotFound, match="several machines: zoe@far, zoe@moon") as caught:
                await house.call("agent.lookup", name="zoe")
            assert not isinstance(caught.value, UnknownAgent)

    asyncio.run(main())
