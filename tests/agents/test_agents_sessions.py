"""Sessions: whose they are, what ends them, what they remember."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop
from agents_house import FAR_DAEMON, House, Processes, git

from thrum_kernel.agents.homes import ProcessKey
from thrum_kernel.agents.identity_files import folder_of
from thrum_kernel.agents.processes import ProcessWatch
from thrum_kernel.errors import AnonymousCaller, GuardFired, NotFound, ParamsInvalid, Refused
from thrum_kernel.events.core import AgentRegister, AgentUpdate, SessionEnd, SessionStart
from thrum_kernel.identity import files, probe


def start_of(pid: int) -> int | None:
    found = probe.process(pid)
    return found.start_time if found else None


def test_session_acts_for_identities_of_the_callers_worktree_only(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            victim = await house.register(processes.at(repo), "alice")
            await house.register(processes.at(worktree), "bob")
            mallory = processes.at(worktree)
            refused = (
                ("session.start", {"agent_id": "alice"}),
                ("session.end", {"session_id": victim["session_id"]}),
                ("session.heartbeat", {"session_id": victim["session_id"]}),
                ("session.setIntent", {"session_id": victim["session_id"], "intent": "x"}),
                ("session.setTask", {"session_id": victim["session_id"], "current_task": "x"}),
            )
            count = len(house.events)
            for method, params in refused:
                with pytest.raises(GuardFired, match="identity_mismatch"):
                    await house.call(method, mallory, **params)
            assert len(house.events) == count
            outsider = processes.at(repo.parent)
            with pytest.raises(AnonymousCaller):
                await house.call("session.end", outsider, session_id=victim["session_id"])
            with pytest.raises(GuardFired):
                await house.call("session.start", outsider, agent_id="alice")

    asyncio.run(main())


def test_session_keeps_no_more_than_a_paragraph_of_what_an_agent_says(
    repo: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            session = (await house.register(here, "alice"))["session_id"]
            for method, field in (
                ("session.setIntent", "intent"),
                ("session.setTask", "current_task"),
                ("session.end", "reason"),
            ):
                with pytest.raises(ParamsInvalid, match=f"^{field} is too long: at most 1000 characters$"):
                    await house.call(method, here, session_id=session, **{field: "x" * 1001})
            await house.call("session.setIntent", here, session_id=session, intent="x" * 1000)

    asyncio.run(main())


def test_session_of_a_shared_worktree_is_not_for_a_runtime_that_is_another_agent(
    repo: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            _, below = processes.runtime(repo)
            await house.register(below, "alice")
            await house.register(processes.at(repo), "bob")
            with pytest.raises(GuardFired):
                await house.call("session.start", below, agent_id="bob")
            assert (await house.call("session.start", processes.at(repo), agent_id="bob"))[
                "agent_id"
            ] == "bob"

    asyncio.run(main())


def test_session_start_keeps_a_session_whose_runtime_is_running(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            _, below = processes.runtime(repo)
            first = await house.register(below, "alice")
            _, below_other = processes.runtime(repo)
            second = await house.call("session.start", below_other, agent_id="alice")
            assert house.committed(SessionEnd) == []
            again = await house.call("session.start", below_other, agent_id="alice")
            [replaced] = house.committed(SessionEnd)
            assert (replaced.session_id, replaced.reason) == (second["session_id"], "normal")
            listed = await house.call("session.list", agent_id="alice", active_only=True)
            assert {row["session_id"] for row in listed["sessions"]} == {
                first["session_id"],
                again["session_id"],
            }

    asyncio.run(main())


def test_session_start_replaces_one_that_nothing_keeps_alive(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            first = await house.register(here, "alice")
            await house.call("session.start", here, agent_id="alice")
            [replaced] = house.committed(SessionEnd)
            assert (replaced.session_id, replaced.reason) == (first["session_id"], "crash_recovered")

    asyncio.run(main())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_session_ends_when_its_runtime_does(repo: Path, processes: Processes, loop: object) -> None:
    async def main() -> None:
        async with House(repo) as house:
            runtime, below = processes.runtime(repo)
            started = await house.register(below, "alice")
            ended = asyncio.Event()
            house.committer.listeners.append(lambda event: isinstance(event, SessionEnd) and ended.set())
            processes.end(runtime)
            await asyncio.wait_for(ended.wait(), 10)
            [event] = house.committed(SessionEnd)
            assert (event.session_id, event.reason) == (started["session_id"], "dead_pid")
            [member] = (await house.call("team.list", include_offline=True))["members"]
            assert (member["status"], member.get("agent_pid", 0)) == ("offline", 0)
            await house.agents.close()  # whatever is still to be noted
            assert kept_session(repo) == ""

    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        runner.run(main())


def test_process_watch_looks_where_it_cannot_be_told(tmp_path: Path, processes: Processes) -> None:
    async def main() -> None:
        ended: asyncio.Queue[ProcessKey] = asyncio.Queue()
        watch = ProcessWatch(
            on_end=ended.put_nowait, start_of=start_of, by_descriptor=False, look_every_s=0.02
        )
        runtime, _ = processes.runtime(tmp_path)
        key = ProcessKey(runtime, start_of(runtime) or 0)
        assert watch.watch(key)
        assert watch.watch(key)
        assert not watch.watch(ProcessKey(runtime, 1))
        processes.end(runtime)
        assert await asyncio.wait_for(ended.get(), 10) == key
        assert ended.empty()
        watch.close()

    asyncio.run(main())


def test_session_end_twice_tells_the_same_and_writes_once(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            session = (await house.register(here, "alice"))["session_id"]
            house.clock.ahead_us += 5_000_000
            first = await house.call("session.end", here, session_id=session, reason="crash")
            again = await house.call("session.end", here, session_id=session)
            assert first == again
            assert first["duration_ms"] >= 5000
            assert len(house.committed(SessionEnd)) == 1
            [row] = (await house.call("session.list"))["sessions"]
            assert (row["status"], row["end_reason"]) == ("ended", "crash")
            for method in ("session.heartbeat", "session.setIntent", "session.setTask"):
                with pytest.raises(Refused, match="has already ended"):
                    await house.call(method, here, session_id=session)
            with pytest.raises(NotFound, match="session not found"):
                await house.call("session.end", here, session_id="ses_NONE")
            with pytest.raises(NotFound, match="agent nobody not registered"):
                await house.call("session.start", here, agent_id="nobody")

    asyncio.run(main())


def kept_session(worktree: Path) -> str:
    """What ``whoami`` tells with no daemon."""
    identity = files.read(folder_of(worktree), "alice")
    assert identity is not None
    return identity.session_id


def test_the_identity_file_says_which_session_is_open(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            first = (await house.register(here, "alice"))["session_id"]
            assert kept_session(repo) == first
            second = (await house.call("session.start", here, agent_id="alice"))["session_id"]
            assert kept_session(repo) == second != first
            await house.call("session.end", here, session_id=first)
            assert kept_session(repo) == second
            await house.call("session.end", here, session_id=second)
            assert kept_session(repo) == ""

    asyncio.run(main())


def test_a_heartbeat_tells_what_is_committed_and_nothing_of_what_is_not(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(worktree)
            session = (await house.register(here, "alice"))["session_id"]
            (worktree / "begun.txt").write_text("begun\n")
            taken = await house.call("session.heartbeat", here, session_id=session)
            assert "file_changes" not in taken, "optional in spec/kernel.md §4.4, and nothing is committed"
            git("add", "begun.txt", cwd=worktree)
            git("commit", "-q", "-m", "begun", cwd=worktree)
            house.clock.ahead_us += 10_000_000
            taken = await house.call("session.heartbeat", here, session_id=session)
            (change,) = taken["file_changes"]
            assert (change["path"], change["additions"], taken["unmerged_commits"]) == ("begun.txt", 1, 1)

    asyncio.run(main())


def test_heartbeat_changes_labels_and_tells_what_git_says(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(worktree)
            session = (await house.register(here, "alice"))["session_id"]
            scope, ref = {"type": "module", "value": "auth"}, {"type": "pr", "value": "42"}
            taken = await house.call(
                "session.heartbeat", here, session_id=session, add_scopes=[scope, scope], add_refs=[ref]
            )
            assert (taken["branch"], taken["unmerged_commits"]) == ("feature", 0)
            [row] = (await house.call("session.list"))["sessions"]
            assert (row["scopes"], row["refs"]) == ([scope], [ref])
            await house.call("session.heartbeat", here, session_id=session, remove_scopes=[scope])
            [row] = (await house.call("session.list"))["sessions"]
            assert "scopes" not in row
            with pytest.raises(ParamsInvalid):
                await house.call(
                    "session.heartbeat", here, session_id=session, add_refs=[{"type": "", "value": "x"}]
                )

    asyncio.run(main())


def test_signs_of_life_are_written_at_most_every_thirty_seconds(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            session = (await house.register(here, "alice"))["session_id"]

            async def written() -> int:
                await house.local.write(lambda db: None)
                [[seen]] = house.local.read("SELECT last_seen_us FROM agent_sessions")
                return int(seen)

            before = await written()
            house.clock.ahead_us += 10_000_000
            told = await house.call("session.heartbeat", here, session_id=session)
            assert await written() == before
            [row] = (await house.call("session.list"))["sessions"]
            assert row["last_seen_at"] == told["last_seen_at"]
            house.clock.ahead_us += 25_000_000
            await house.call("session.heartbeat", here, session_id=session)
            assert await written() > before

    asyncio.run(main())


def test_contexts_travel_when_they_changed_and_once_a_minute(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            session = (await house.register(here, "alice"))["session_id"]
            await house.call("session.setIntent", here, session_id=session, intent="mend login")
            await house.agents.journal_contexts()
            await house.agents.journal_contexts()
            [first] = house.committed(AgentUpdate)
            [digest] = first.work_contexts
            assert (digest.intent, digest.branch, digest.worktree_path) == ("mend login", "main", "repo")

            await house.call("session.setTask", here, session_id=session, current_task="T-1")
            await house.agents.journal_contexts()
            assert len(house.committed(AgentUpdate)) == 1
            house.clock.ahead_us += 61_000_000
            await house.agents.journal_contexts()
            await house.agents.journal_contexts()
            assert [event.work_contexts[0].current_task for event in house.committed(AgentUpdate)] == [
                "",
                "T-1",
            ]

            house.clock.ahead_us += 61_000_000
            await house.call("session.heartbeat", here, session_id=session)
            await house.agents.journal_contexts()
            assert len(house.committed(AgentUpdate)) == 2

    asyncio.run(main())


def test_sessions_of_other_daemons_are_listed_and_left_alone(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            far = house.committer.draft(
                AgentRegister, agent_id="alice", role="tester", module="core", hostname="far"
            )
            session = house.committer.draft(
                SessionStart, session_id="ses_FAR", agent_id="alice", incarnation=far.ulid
            )
            house.project_from_afar(far, session, daemon=FAR_DAEMON)
            listed = await house.call("session.list", agent_id="alice@far")
            assert [row["agent_id"] for row in listed["sessions"]] == ["alice@far"]
            with pytest.raises(Refused, match="another daemon"):
                await house.call("session.end", here, session_id="ses_FAR")

    asyncio.run(main())
