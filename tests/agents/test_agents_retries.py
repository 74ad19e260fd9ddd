"""A request that was carried out before a restart gets its answer, and is not carried out twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agents_house import House, Processes

from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.events.core import AgentCleanup, AgentRegister, SessionStart
from thrum_kernel.identity import probe


def restarted(house: House) -> Dispatcher:
    """The methods as a daemon has them that only knows the log."""
    dispatcher = Dispatcher(recall=house.committer.events_of_request)
    for method in house.agents.methods():
        dispatcher.add(method)
    return dispatcher


def test_a_retried_session_and_deletion_answer_from_the_log(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            await house.register(here, "alice")
            alice = house.agents.world.resolve_peer(probe.facts(here))
            for method, params, kind in (
                ("session.start", {"agent_id": "alice"}, SessionStart),
                ("agent.delete", {"name": "alice"}, AgentCleanup),
            ):
                first = await restarted(house).call(method, params, caller=alice, request_id=method)
                count = len(house.events)
                again = await restarted(house).call(method, params, caller=alice, request_id=method)
                assert again == first
                assert len(house.events) == count
                assert house.committed(kind)

    asyncio.run(main())


def test_a_retried_registration_completes_what_was_cut_short(repo: Path, processes: Processes) -> None:
    async def main() -> None:
        async with House(repo) as house:
            here = processes.at(repo)
            params = {"name": "alice", "role": "tester", "module": "core"}
            caller = house._caller(here)
            first = await restarted(house).call("agent.register", params, caller=caller, request_id="r.1")
            Path(first["identity_file"]).unlink()
            again = await restarted(house).call("agent.register", params, caller=caller, request_id="r.1")
            assert again["session_id"] == first["session_id"]
            assert Path(first["identity_file"]).exists()
            assert len(house.committed(AgentRegister)) == 1

    asyncio.run(main())
