"""Registering: who may, where, under which name, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from agents_house import House, Processes

from thrum_kernel.errors import AnonymousCaller, GuardFired, InvalidName, ParamsInvalid, Refused
from thrum_kernel.events.core import AgentRegister, SessionEnd, SessionStart
from thrum_kernel.identity.model import Identity


def test_register_writes_event_file_and_session_when_the_name_is_new(
    repo: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            runtime, below = processes.runtime(repo)
            answer = await house.register(below, "alice", display="Alice")

            assert answer["status"] == "registered"
            assert answer["session_id"].startswith("ses_")
            [event] = house.committed(AgentRegister)
            assert (event.agent_id, event.agent_pid, event.runtime) == ("alice", runtime, "claude")
            assert event.worktree == "repo"
            file = json.loads(Path(answer["identity_file"]).read_text())
            assert file["agent"] == {
                "kind": "agent",
                "name": "alice",
                "role": "tester",
                "module": "core",
                "display": "Alice",
            }
            assert file["agent_pid"] == runtime
            assert file["worktree"] == str(repo)
            assert file["session_id"] == answer["session_id"]
            assert Path(answer["identity_file"]).parent == repo / ".thrum" / "identities"
            who = await house.call("agent.whoami", below)
            assert (who["agent_id"], who["source"], who["session_id"]) == (
                "alice",
                "peercred",
                answer["session_id"],
            )

    asyncio.run(main())


def test_register_goes_into_the_callers_own_worktree(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            answer = await house.register(processes.at(worktree), "bob")
            assert Path(answer["identity_file"]).is_relative_to(worktree)
            with pytest.raises(Refused, match="no other"):
                await house.register(processes.at(worktree), "carol", worktree=str(repo))
            with pytest.raises(Refused, match="no worktree of the project"):
                await house.register(processes.at(repo.parent), "carol")

    asyncio.run(main())


def test_register_writes_no_event_when_nothing_changed(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            _, below = processes.runtime(repo)
            first = await house.register(below, "alice")
            count = len(house.events)
            again = await house.register(below, "alice")
            assert (again["status"], again["session_resumed"]) == ("registered", True)
            assert again["session_id"] == first["session_id"]
            assert len(house.events) == count
            forced = await house.register(below, "alice", re_register=True)
            assert forced["status"] == "updated"
            assert len(house.committed(AgentRegister)) == 2

    asyncio.run(main())


def test_register_writes_the_file_anew_when_nothing_changed(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            _, below = processes.runtime(repo)
            file = Path((await house.register(below, "alice"))["identity_file"])
            first = file.stat()
            await house.register(below, "alice")

            second = file.stat()
            assert (second.st_ino, second.st_mtime_ns) != (first.st_ino, first.st_mtime_ns)

    asyncio.run(main())


def test_register_changes_role_only_with_force(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            with pytest.raises(Refused, match="role tester and module core"):
                await house.register(here, "alice", role="builder")
            assert (await house.register(here, "alice", role="builder", force=True))["status"] == "updated"
            [agent] = (await house.call("agent.list"))["agents"]
            assert agent["role"] == "builder"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        ({"role": ""}, ParamsInvalid, "role is required"),
        ({"module": ""}, ParamsInvalid, "module is required"),
        ({"name": "tester"}, InvalidName, "same as its role"),
        ({"name": "Upper"}, InvalidName, "invalid agent name"),
        ({"name": "a/b"}, InvalidName, "invalid agent name"),
        ({"name": "x" * 300}, InvalidName, "300 characters"),
        ({"name": "everyone"}, InvalidName, "reserved"),
        ({"name": "supervisor_x"}, InvalidName, "reserved"),
        ({"name": "a:b"}, InvalidName, "invalid agent name"),
        ({"name": "builder"}, InvalidName, "already in use as a role"),
        ({"role": "alice"}, InvalidName, "already the name of an agent"),
    ],
)
def test_register_refuses_names_that_cannot_be(
    repo: Path, processes: Processes, params: dict[str, str], error: type[Exception], text: str
) -> None:
    async def main() -> None:
        async with House(repo, claimed=lambda: ("supervisor_*",)) as house:
            here = processes.at(repo)
            await house.register(here, "alice", role="builder")
            count = len(house.events)
            with pytest.raises(error, match=text):
                await house.register(here, **{"name": "bob", **params})
            assert len(house.events) == count
            assert [path.name for path in (repo / ".thrum" / "identities").iterdir()] == ["alice.json"]

    asyncio.run(main())


def test_register_gives_a_stable_name_when_none_is_asked_for(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            first = await house.register(here, "")
            again = await house.register(here, "")
            assert first["agent_id"] == again["agent_id"]
            assert first["agent_id"].startswith("tester_")
            assert len(first["agent_id"]) == len("tester_") + 10

    asyncio.run(main())


def test_register_leaves_an_agent_of_another_worktree_alone_unless_forced(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            await house.register(processes.at(repo), "alice")
            there = processes.at(worktree)
            with pytest.raises(Refused, match='agent "alice" is already registered in a different worktree'):
                await house.register(there, "alice")
            assert not (worktree / ".thrum" / "identities" / "alice.json").exists()

            await house.register(there, "alice", force=True)
            assert (worktree / ".thrum" / "identities" / "alice.json").exists()
            assert not (repo / ".thrum" / "identities" / "alice.json").exists()
            assert (repo / ".thrum" / "identities" / ".quarantine" / "alice.json").exists()
            assert (await house.call("agent.whoami", there))["worktree"] == str(worktree)

    asyncio.run(main())


def test_a_runtime_that_takes_an_agent_over_from_another_worktree_is_told_on(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        told: list[tuple[str, list[str]]] = []

        async def send(text: str, names: Sequence[str]) -> None:
            told.append((text, list(names)))

        async with House(repo, send=send) as house:
            await house.register(processes.at(repo), "alice")
            await house.register(processes.at(repo), "boss", role="coordinator")
            _, below = processes.runtime(worktree)
            done = await house.register(below, "alice", force=True)
            taken = f"taken over from {repo}"
            assert done["notes"] == [f"agent alice was not yours: {taken} all the same; @boss was told"]
            assert told == [(f"somebody in {worktree} had agent alice {taken}, with --force", ["boss"])]

            person = await house.register(processes.at(repo), "alice", force=True)
            assert "notes" not in person and len(told) == 1

    asyncio.run(main())


def test_an_identity_file_that_was_copied_makes_nobody_that_agent(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            alice = await house.register(processes.at(repo), "alice")
            file = Path(alice["identity_file"])
            copy = worktree / ".thrum" / "identities" / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
            there = processes.at(worktree)

            with pytest.raises(AnonymousCaller, match=f"is a copy: alice lives in {repo}"):
                await house.call("session.end", there, session_id=alice["session_id"])
            assert (await house.call("agent.whoami", processes.at(repo)))["agent_id"] == "alice"

            await house.register(there, "bob")
            assert (await house.call("agent.whoami", there))["agent_id"] == "bob"

    asyncio.run(main())


def test_register_tells_of_a_conflict_when_another_runtime_lives_in_the_agent(
    repo: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            owner, below_owner = processes.runtime(repo)
            _, below_other = processes.runtime(repo)
            first = await house.register(below_owner, "alice")
            count = len(house.events)
            answer = await house.register(below_other, "alice")
            assert answer["status"] == "conflict"
            assert answer["conflict"]["conflict_pid"] == owner
            assert len(house.events) == count

            shell = await house.register(processes.at(repo), "alice")
            assert shell["status"] == "registered"
            assert json.loads(Path(first["identity_file"]).read_text())["agent_pid"] == owner

            taken = await house.register(below_other, "alice", force=True)
            assert taken["status"] == "updated"
            assert (await house.call("agent.whoami", below_other))["agent_id"] == "alice"
            kept = Path(first["identity_file"]).with_name("alice.json.deleted")
            assert json.loads(kept.read_text())["agent_pid"] == owner

    asyncio.run(main())


def test_register_of_a_second_agent_from_one_runtime_does_not_take_it_over(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            runtime, below = processes.runtime(repo)
            await house.register(below, "alice")
            await house.register(below, "helper")
            assert (await house.call("agent.whoami", below))["agent_id"] == "alice"
            helper = json.loads((repo / ".thrum" / "identities" / "helper.json").read_text())
            assert helper.get("agent_pid", 0) == 0

            await house.register(below, "helper", force=True)
            assert (await house.call("agent.whoami", below))["agent_id"] == "helper"
            folder = repo / ".thrum" / "identities"
            assert not (folder / "alice.json").exists()
            assert json.loads((folder / "alice.json.deleted").read_text())["agent_pid"] == runtime
            assert (
                json.loads((repo / ".thrum" / "identities" / "helper.json").read_text())["agent_pid"]
                == runtime
            )

    asyncio.run(main())


def test_register_refuses_a_process_that_is_not_above_the_caller(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            foreign, _ = processes.runtime(repo)
            _, below = processes.runtime(repo)
            with pytest.raises(Refused, match="not above the caller"):
                await house.register(below, "mallory", agent_pid=foreign)
            answer = await house.register(below, "quiet", agent_pid=0)
            assert json.loads(Path(answer["identity_file"]).read_text()).get("agent_pid", 0) == 0

    asyncio.run(main())


def test_register_works_where_several_identities_fit(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            await house.register(here, "bob")
            assert (await house.register(here, "carol"))["status"] == "registered"
            assert (await house.register(here, "alice"))["status"] == "registered"

    asyncio.run(main())


def test_register_turns_single_agent_mode_off_with_the_second_agent_only(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        turned: list[bool] = []

        def leave() -> bool:
            turned.append(True)
            return True

        async with House(repo, leave_single_agent_mode=leave) as house:
            first = await house.register(processes.at(repo), "alice")
            assert not turned
            assert "single_agent_mode_ended" not in first
            second = await house.register(processes.at(worktree), "bob")
            assert second["single_agent_mode_ended"] is True
            await house.register(processes.at(worktree), "bob", re_register=True)
            assert len(turned) == 1

    asyncio.run(main())


def test_register_beside_another_agent_says_who_else_is_here(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            first = await house.register(processes.at(repo), "alice")
            assert "also_here" not in first
            second = await house.register(processes.at(repo), "bob")
            assert second["also_here"] == ["alice"]
            _, below = processes.runtime(repo)
            third = await house.register(below, "carol")
            assert "also_here" not in third, "its runtime tells who it is"

    asyncio.run(main())


def test_register_where_no_identity_can_be_written_changes_nothing(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            (repo / ".thrum").mkdir(exist_ok=True)
            (repo / ".thrum" / "identities").write_text("in the way")
            with pytest.raises(OSError, match="identities"):
                await house.register(processes.at(repo), "alice")
            assert not house.events

    asyncio.run(main())


def test_register_after_deletion_is_a_new_incarnation(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            await house.call("agent.delete", here, name="alice")
            await house.register(here, "alice")
            first, second = house.committed(AgentRegister)
            assert (first.incarnation, second.incarnation) == ("", "")
            assert house.agents.roster.local("alice").incarnation == second.ulid

    asyncio.run(main())


def test_register_reports_a_damaged_file_and_changes_nothing(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            folder = repo / ".thrum" / "identities"
            folder.mkdir()
            (folder / "alice.json").write_text('{"agent": ')
            with pytest.raises(Exception, match=r"alice\.json") as caught:
                await house.register(here, "alice")
            assert caught.value.hint  # type: ignore[attr-defined]
            assert not house.events
            await house.register(here, "alice", force=True)
            assert (folder / ".quarantine" / "alice.json").read_text() == '{"agent": '

    asyncio.run(main())


def test_register_in_a_new_runtime_replaces_the_session_of_the_gone_one(
    repo: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            old, below_old = processes.runtime(repo)
            first = await house.register(below_old, "alice")
            processes.end(old)
            await house.agents._sessions.settle()
            _, below_new = processes.runtime(repo)
            second = await house.register(below_new, "alice")
            assert second["session_id"] != first["session_id"]
            [ended] = house.committed(SessionEnd)
            assert ended.session_id == first["session_id"]
            assert len(house.committed(SessionStart)) == 2

    asyncio.run(main())


def test_a_claim_to_be_somebody_else_is_refused(repo: Path, worktree: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            await house.register(processes.at(repo), "alice")
            await house.register(processes.at(worktree), "bob")
            with pytest.raises(GuardFired, match="identity_mismatch"):
                await house.call("agent.whoami", processes.at(worktree), caller_agent_id="alice")

    asyncio.run(main())


def test_a_judge_sees_what_is_to_be_written_and_can_refuse_it(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            seen: list[tuple[Path, str, str]] = []

            async def judge(worktree: Path, identity: Identity) -> None:
                seen.append((worktree, identity.name, identity.agent_status))
                if identity.agent_status == "blocked":
                    raise GuardFired("a_guard", "because")

            house.agents.files.judge = judge
            await house.call("agent.set-status", here, agent="alice", status="idle")
            with pytest.raises(GuardFired, match="because"):
                await house.call("agent.set-status", here, agent="alice", status="blocked")
            await house.agents.update_identity("alice", lambda identity: identity)

            assert seen == [(repo, "alice", "idle"), (repo, "alice", "blocked")]
            written = json.loads((repo / ".thrum" / "identities" / "alice.json").read_text())
            assert written["agent_status"] == "idle"

    asyncio.run(main())
