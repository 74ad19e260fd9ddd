"""What a start mends, and how the picture of what is registered keeps up with the disk."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest
from agents_house import House, Processes, git

from thrum_kernel.agents.worktrees import Worktrees
from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import GuardFired, IdentityAmbiguous, IdentityMissing, Refused
from thrum_kernel.events.core import AgentRegister, SessionEnd, SessionStart
from thrum_kernel.identity import files, probe
from thrum_kernel.identity.model import AgentName, Identity


def identities(worktree: Path) -> Path:
    return worktree / ".thrum" / "identities"


def below_runtime(pid: int) -> int:
    runtime = probe.facts(pid).runtime
    assert runtime is not None
    return runtime.pid


def write(place: Path, name: str, *, agent_pid: int = 0) -> None:
    agent = AgentName(name=name, role="tester", module="core")
    identity = Identity(agent=agent, worktree=str(place), agent_pid=agent_pid)
    files.write(identities(place), identity, clock=SystemClock())


def test_a_start_writes_back_the_identity_files_that_are_gone(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def first() -> None:
        async with House(repo) as house:
            await house.register(processes.at(repo), "alice", display="Alice")
            await house.register(processes.at(worktree), "bob")
            gone = processes.at(repo)
            await house.register(gone, "carol")
            await house.call("agent.delete", name="carol")

    async def second() -> None:
        async with House(repo) as house:
            done = await house.agents.reconcile()
            assert done.written_back == ["bob", "alice"]
            assert done.registered == done.opened == []
            assert (await house.call("agent.whoami", processes.at(worktree)))["agent_id"] == "bob"
            assert house.events == []

    asyncio.run(first())
    before = (identities(repo) / "alice.json").read_bytes()
    shutil.rmtree(identities(repo))
    shutil.rmtree(identities(worktree))
    asyncio.run(second())
    after = json.loads((identities(repo) / "alice.json").read_text())
    assert {**json.loads(before), "updated_at": ""} == {**after, "updated_at": ""}
    assert not (identities(repo) / "carol.json").exists()


def test_a_start_does_not_write_into_worktrees_that_are_gone(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def first() -> None:
        async with House(repo) as house:
            await house.register(processes.at(worktree), "bob")

    async def second() -> None:
        async with House(repo) as house:
            assert (await house.agents.reconcile()).written_back == []
            assert not worktree.exists()

    asyncio.run(first())
    git("worktree", "remove", "--force", str(worktree), cwd=repo)
    asyncio.run(second())


def test_a_start_registers_identities_it_does_not_know_without_a_session(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        write(repo, "alice")
        write(worktree, "bob", agent_pid=2**22 - 1)
        (identities(repo) / "broken.json").write_text("{")
        async with House(repo) as house:
            done = await house.agents.reconcile()
            assert sorted(done.registered) == ["alice", "bob"]
            assert done.opened == []
            assert len(done.damaged) == 1
            assert "broken.json" in done.damaged[0]
            assert house.committed(SessionStart) == []
            assert (await house.call("agent.whoami", processes.at(worktree)))["agent_id"] == "bob"
            again = await house.agents.reconcile()
            assert again.registered == []

    asyncio.run(main())


def test_nobody_is_taken_for_the_agent_beside_a_damaged_file(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            await house.register(processes.at(repo), "alice")
            await house.register(processes.at(repo), "bob")
            file = identities(repo) / "bob.json"
            good = file.read_bytes()
            file.write_bytes(good[:20])
            with pytest.raises(IdentityAmbiguous, match=r"Damaged: .*bob\.json"):
                await house.call("agent.whoami", processes.at(repo))
            file.write_bytes(good)

    asyncio.run(main())


def test_a_start_does_not_bring_back_a_deleted_agent(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            await house.register(processes.at(repo), "alice")
            await house.call("agent.delete", name="alice")
            write(repo, "alice")
            assert (await house.agents.reconcile()).registered == []
            with pytest.raises(IdentityMissing):
                await house.call("agent.whoami", processes.at(repo))

    asyncio.run(main())


def test_a_start_opens_sessions_for_running_runtimes_only_and_ends_those_of_dead_ones(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    living, below = processes.runtime(repo)
    dying, below_dying = processes.runtime(worktree)

    async def first() -> None:
        async with House(repo) as house:
            session = await house.register(below, "alice")
            await house.register(below_dying, "bob")
            await house.call("session.end", below, session_id=session["session_id"])

    async def second() -> None:
        async with House(repo) as house:
            done = await house.agents.reconcile()
            assert (done.opened, done.ended) == (["alice"], ["bob"])
            [ended] = house.committed(SessionEnd)
            assert ended.reason == "dead_pid"
            over = asyncio.Event()
            house.committer.listeners.append(lambda event: isinstance(event, SessionEnd) and over.set())
            processes.end(living)
            await asyncio.wait_for(over.wait(), 10)

    asyncio.run(first())
    processes.end(dying)
    asyncio.run(second())


def test_an_identity_of_another_program_owns_only_a_process_older_than_the_file(
    repo: Path, processes: Processes
) -> None:
    runtime, _ = processes.runtime(repo)
    write(repo, "alice", agent_pid=runtime)
    path = identities(repo) / "alice.json"
    body = json.loads(path.read_text())
    body["updated_at"] = "2020-01-01T00:00:00.000000Z"
    path.write_text(json.dumps(body))

    async def main() -> None:
        async with House(repo) as house:
            done = await house.agents.reconcile()
            assert (done.registered, done.opened) == (["alice"], [])
            [event] = house.committed(AgentRegister)
            assert event.agent_pid == 0

    asyncio.run(main())


def test_a_running_agent_goes_on_when_its_file_is_removed_beside_the_daemon(
    repo: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            _, below = processes.runtime(repo)
            await house.register(below, "alice")
            await house.register(processes.at(repo), "bob")
            shutil.rmtree(identities(repo))
            assert (await house.call("agent.whoami", below))["agent_id"] == "alice"

    asyncio.run(main())


def test_a_file_nobody_registered_makes_nobody(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            write(repo, "forged")
            with pytest.raises(IdentityMissing):
                await house.call("agent.whoami", processes.at(repo))

    asyncio.run(main())


def test_a_runtime_that_is_one_agent_is_refused_in_the_worktree_of_another(
    repo: Path, worktree: Path, processes: Processes
) -> None:
    async def main() -> None:
        async with House(repo) as house:
            await house.register(processes.at(repo), "alice")
            _, below = processes.runtime(worktree, below=repo)
            with pytest.raises(Refused, match="no other"):
                await house.register(below, "bob", worktree=str(worktree))
            runtime = below_runtime(below)
            await house.call(
                "agent.register",
                name="bob",
                role="tester",
                module="core",
                worktree=str(worktree),
                agent_pid=runtime,
            )
            for method in ("agent.whoami", "agent.register"):
                with pytest.raises(GuardFired, match="identity_mismatch") as caught:
                    params = {} if method == "agent.whoami" else {"name": "x", "role": "y", "module": "z"}
                    await house.call(method, below, **params)
                assert caught.value.facts["detected agent"] == "bob"

    asyncio.run(main())


def test_worktrees_notice_files_and_folders_as_they_come_and_go(repo: Path) -> None:
    read: list[str] = []
    known = Worktrees(
        repo, clock=SystemClock(), further=tuple, on_read=lambda worktree: read.append(worktree.path.name)
    )
    known.refresh()
    assert [worktree.path for worktree in known.all()] == [repo]
    write(repo, "alice")
    known.refresh_for(repo / "src")
    assert known.with_identity("alice") == [repo]
    version = known.version
    known.refresh()
    assert known.version == version

    path = identities(repo) / "alice.json"
    status = path.stat()
    body = path.read_text().replace("tester", "texter")
    path.write_text(body)  # in place, as other programs do, and with the times of before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    known.refresh()
    found = known.at(repo)
    assert found is not None and found.identity("alice") is not None
    assert found.identity("alice").role == "texter"  # type: ignore[union-attr]

    linked = repo.parent / "linked"
    git("worktree", "add", "-q", "--detach", str(linked), cwd=repo)
    known.refresh_for(linked)
    assert [worktree.path for worktree in known.all()] == [repo, linked]
    git("worktree", "remove", str(linked), cwd=repo)
    known.refresh()
    assert [worktree.path for worktree in known.all()] == [repo]
    assert set(read) == {"repo", "linked"}
