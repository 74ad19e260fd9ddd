"""Who may end what is somebody's, and who looks after all agents."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agents_house import House, Processes

from thrum_kernel.agents.authority import judge
from thrum_kernel.agents.supervision import entries, meant
from thrum_kernel.api import KERNEL_CALLER, Belonging, Caller
from thrum_kernel.errors import NotYours

HERE, THERE = Path("/shop"), Path("/worktrees/shop/auth")
AUTH = Belonging(what="worktree auth", owners=("bob",), made_by="ada", worktree=THERE)


def agent(name: str, **facts: Any) -> Caller:
    """An agent that runs in a runtime."""
    return Caller(
        **{
            "kind": "agent",
            "agent_id": name,
            "source": "worktree",
            "worktree": HERE,
            "runtime_pid": 7,
            **facts,
        }
    )


def reason(caller: Caller, thing: Belonging = AUTH, *, force: bool = False) -> str:
    return judge(caller, thing, supervisors=lambda: ["boss"], force=force).reason


@pytest.mark.parametrize(
    ("caller", "why"),
    [
        (agent("bob"), "own"),
        (agent("ada"), "made"),
        (agent("boss"), "supervisor"),
        (agent("eve", runtime_pid=0), "person"),
        (Caller(kind="anonymous", worktree=HERE), "person"),
        (Caller(kind="user", agent_id="user:kim", source="token"), "person"),
        (Caller(kind="anonymous", worktree=THERE, runtime_pid=7), "own"),
        (KERNEL_CALLER, "kernel"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.kind} {value.agent_id}",
)
def test_who_may(caller: Caller, why: str) -> None:
    assert reason(caller) == why


@pytest.mark.parametrize("source", ["process", "token", "claim"])
def test_an_agent_that_is_known_otherwise_than_by_its_place_is_no_person(source: str) -> None:
    with pytest.raises(NotYours, match="worktree auth is @bob's, and you are @eve") as caught:
        reason(agent("eve", source=source, runtime_pid=0))
    assert caught.value.hint == "ask @bob or @ada or @boss; --force does it all the same, and tells them"


def test_force_lets_an_agent_through_and_names_who_is_told() -> None:
    found = judge(agent("eve"), AUTH, supervisors=lambda: ["boss"], force=True)

    assert (found.reason, found.tell) == ("forced", ("ada", "bob", "boss"))


def test_what_is_nobodys_is_not_everybodys() -> None:
    nobodys = Belonging(what="worktree old")
    with pytest.raises(NotYours, match="worktree old is no agent's, and you are @eve"):
        reason(agent("eve"), nobodys)
    assert reason(agent("eve"), nobodys, force=True) == "forced"


@pytest.mark.parametrize(
    "caller", [Caller(kind="anonymous"), Caller(kind="anonymous", worktree=HERE, runtime_pid=7)]
)
def test_who_is_no_agent_may_not_with_force_either(caller: Caller) -> None:
    with pytest.raises(NotYours, match="you are no agent here") as caught:
        reason(caller, force=True)
    assert "thrum quickstart" in caught.value.hint and str(THERE) in caught.value.hint


def test_supervisors_are_agents_by_name_or_all_of_a_role() -> None:
    team = [("ann", "coordinator"), ("ben", "tester"), ("cat", "tester"), ("tester", "lead")]

    assert meant(entries(None), team) == meant(entries([]), team) == meant(entries("x"), team) == ["ann"]
    assert meant(entries(["@ben", "lead", 7]), team) == ["ben", "tester"]
    assert meant(entries(["@nobody"]), team) == []


def test_supervisors_are_told_to_plugins_as_config_says_now(repo: Path, processes: Processes) -> None:
    wanted: list[Any] = [None]

    async def main() -> None:
        async with House(repo, wanted_supervisors=lambda: wanted[0]) as house:
            await house.register(processes.at(repo), "alice", role="coordinator")
            await house.register(processes.at(repo), "bob", role="tester")

            async def told() -> Any:
                return await house.dispatcher.call("agent.supervisors", {}, caller=KERNEL_CALLER)

            assert await told() == {"wanted": ["coordinator"], "agents": ["alice"]}
            wanted[0] = ["@bob", "@ghost"]
            assert (await told())["agents"] == ["bob"]

    asyncio.run(main())
