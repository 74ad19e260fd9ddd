"""Who a caller is, over generated facts and registrations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.api import Caller
from thrum_kernel.errors import GuardFired, IdentityAmbiguous, ThrumError
from thrum_kernel.identity.facts import Facts, Folder, Process
from thrum_kernel.identity.model import AgentName, Identity
from thrum_kernel.identity.resolve import resolve
from thrum_kernel.identity.select import select
from thrum_kernel.identity.world import Worktree, World

K = TypeVar("K")
V = TypeVar("V")
NAMES = ("ada", "bob", "cyd", "dan")
PIDS = st.integers(10, 15)
STARTS = st.integers(1, 2)
INODES = st.tuples(st.just(1), st.integers(100, 104))
claims = st.sampled_from(("", *NAMES, "stranger", "user:eve"))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    placed = draw(st.dictionaries(INODES, st.sets(st.sampled_from(NAMES), max_size=3), max_size=4))
    running = draw(st.dictionaries(st.tuples(PIDS, STARTS), st.sampled_from(NAMES), max_size=4))
    worktrees = {
        inode: Worktree(Path(f"/w/{inode[1]}"), tuple(sorted(names))) for inode, names in placed.items()
    }
    known = {name for names in placed.values() for name in names} | set(running.values())
    return World(worktrees, running, frozenset(known))


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    is_root: bool = draw(st.booleans())
    pids = draw(st.lists(PIDS, max_size=4, unique=True))
    chain = tuple(
        Process(pid, 0, draw(STARTS), runtime=draw(st.sampled_from(("", "", "claude")))) for pid in pids
    )
    inodes = draw(st.lists(INODES, max_size=3, unique=True))
    folders: tuple[Folder, ...] = tuple(Folder(Path(f"/at/{inode[1]}"), inode) for inode in inodes)
    readable = bool(folders)
    gone: bool = not readable and draw(st.booleans())
    return Facts(
        pid=pids[0] if pids else 0,
        chain=chain,
        folders=folders,
        git_root=folders[-1].path if folders and is_root else None,
        foreign=draw(st.sampled_from(("", "", "", "mount", "pid"))),
        failed=frozenset() if readable or gone else frozenset({"cwd"}),
        cwd_gone=gone,
    )


def outcome(
    facts: Facts, world: World, claim: str = "", *, named: str = "", token: str | None = None
) -> Caller | ThrumError:
    try:
        return resolve(facts, world, claim, named=named, token_principal=token)
    except (GuardFired, IdentityAmbiguous) as error:
        return error


def running_as(facts: Facts, world: World) -> str:
    return next((world.runtimes[p.key] for p in facts.chain if p.key in world.runtimes), "")


def names_here(facts: Facts, world: World) -> tuple[str, ...]:
    places = [world.worktrees[f.inode] for f in facts.folders if f.inode in world.worktrees]
    return next((place.names for place in places if place.names), ())


@given(facts(), worlds(), claims, claims)
def test_nobody_gets_a_name_that_the_system_does_not_support(
    facts: Facts, world: World, claim: str, named: str
) -> None:
    found = outcome(facts, world, claim, named=named)

    if isinstance(found, Caller) and found.agent_id:
        running, here = running_as(facts, world), names_here(facts, world)
        if running:
            assert (found.agent_id, found.source) == (running, "process")
        elif here:
            assert found.agent_id in here
            assert found.source == "worktree"
        else:
            assert found.agent_id in world.names
            assert (found.source, found.asserted) == ("claim", True)
            assert "cwd" in facts.failed


@given(facts(), worlds(), claims)
def test_a_claim_never_changes_what_the_facts_say(facts: Facts, world: World, claim: str) -> None:
    without, with_claim = outcome(facts, world), outcome(facts, world, claim)

    if isinstance(without, Caller) and without.source in ("process", "worktree"):
        assert (
            isinstance(with_claim, GuardFired) or with_claim == without or claim in names_here(facts, world)
        )
        if without.source == "process" or len(names_here(facts, world)) == 1:
            assert isinstance(with_claim, GuardFired) or with_claim == without


@given(facts(), worlds(), claims.filter(bool))
def test_a_claim_against_the_process_is_refused(facts: Facts, world: World, claim: str) -> None:
    world = replace(world, runtimes={**world.runtimes, (77, 1): "zoe"})
    facts = replace(facts, chain=(Process(77, 0, 1), *facts.chain), foreign="")

    found = outcome(facts, world, claim)

    assert isinstance(found, GuardFired)
    assert (found.guard, found.reason) == ("unauthenticated_rpc", "identity_mismatch")
    assert (found.facts["expected agent"], found.facts["detected agent"]) == (claim, "zoe")


@given(facts(), worlds(), claims.filter(bool))
def test_a_claim_against_the_worktree_is_refused(facts: Facts, world: World, claim: str) -> None:
    world = replace(world, worktrees={**world.worktrees, (7, 7): Worktree(Path("/theirs"), ("zoe",))})
    facts = replace(facts, chain=(), folders=(Folder(Path("/theirs"), (7, 7)), *facts.folders), foreign="")

    found = outcome(facts, world, claim)

    assert isinstance(found, GuardFired)
    assert (found.facts["expected agent"], found.facts["detected agent"]) == (claim, "zoe")


@given(facts(), worlds(), claims, claims, st.sets(st.sampled_from(NAMES), min_size=1))
def test_a_process_in_anothers_worktree_is_refused(
    facts: Facts, world: World, claim: str, named: str, owners: set[str]
) -> None:
    world = replace(
        world,
        worktrees={**world.worktrees, (7, 7): Worktree(Path("/theirs"), tuple(sorted(owners)))},
        runtimes={**world.runtimes, (77, 1): "zoe"},
    )
    facts = replace(
        facts,
        chain=(Process(77, 0, 1), *facts.chain),
        folders=(Folder(Path("/theirs"), (7, 7)), *facts.folders),
        foreign="",
    )

    found = outcome(facts, world, claim, named=named)

    assert isinstance(found, GuardFired)
    assert found.facts["detected agent"] == "zoe"


@given(facts(), worlds(), claims, claims)
def test_thrum_name_only_chooses_among_the_agents_of_the_place(
    facts: Facts, world: World, claim: str, named: str
) -> None:
    without = outcome(facts, world, claim)
    found = outcome(facts, world, claim, named=named)

    if "cwd" in facts.failed and not claim:
        return  # then it is the claim
    if named not in names_here(facts, world):
        assert type(found) is type(without)
        if isinstance(found, Caller):
            assert replace(found, ignored_name="") == without
        else:
            assert str(found).startswith(str(without).splitlines()[0])
    elif isinstance(found, Caller) and isinstance(without, Caller) and found != without:
        assert found.agent_id == named


@given(facts(), worlds(), claims)
def test_another_namespace_has_no_identity_without_a_token(facts: Facts, world: World, claim: str) -> None:
    facts = replace(facts, foreign="mount")

    found = outcome(facts, world, claim)

    assert isinstance(found, Caller)
    assert (found.kind, found.agent_id) == ("anonymous", "")
    assert "namespace" in found.reason


@given(facts(), worlds(), claims, st.sampled_from((*NAMES, "user:eve")))
def test_a_token_names_its_principal_and_nobody_else(
    facts: Facts, world: World, claim: str, principal: str
) -> None:
    found = outcome(facts, world, claim, token=principal)

    if claim in ("", principal):
        assert isinstance(found, Caller)
        assert (found.agent_id, found.source) == (principal, "token")
        assert found.kind == ("user" if principal == "user:eve" else "agent")
    else:
        assert isinstance(found, GuardFired)


@given(facts(), worlds(), claims)
def test_nobody_is_asserted_or_anonymous_without_a_reason(facts: Facts, world: World, claim: str) -> None:
    found = outcome(facts, world, claim)

    if isinstance(found, Caller) and (found.asserted or found.kind == "anonymous"):
        assert found.reason
    if (
        isinstance(found, Caller)
        and "cwd" in facts.failed
        and not facts.foreign
        and found.source != "process"
    ):
        assert "step=cwd failed" in found.reason


@given(facts(), worlds(), claims)
def test_the_order_of_registrations_makes_no_difference(facts: Facts, world: World, claim: str) -> None:
    shuffled = World(_shuffled(world.worktrees), _shuffled(world.runtimes), world.names)

    one, other = outcome(facts, world, claim), outcome(facts, shuffled, claim)

    assert one == other if isinstance(one, Caller) else str(one) == str(other)


@given(facts(), worlds(), claims)
def test_registrations_elsewhere_make_no_difference(facts: Facts, world: World, claim: str) -> None:
    busier = World(
        {**world.worktrees, (9, 9): Worktree(Path("/far"), ("zoe",))},
        {**world.runtimes, (99, 1): "zoe"},
        world.names | {"zoe"},
    )

    one, other = outcome(facts, world, claim), outcome(facts, busier, claim)

    assert one == other if isinstance(one, Caller) else str(one) == str(other)


@given(
    st.lists(
        st.builds(
            Identity,
            agent=st.builds(AgentName, name=st.sampled_from(NAMES), role=st.just("r"), module=st.just("m")),
            worktree=st.sampled_from(("/w/here", "/w/there", "here", "")),
            agent_pid=st.one_of(st.just(0), PIDS),
            agent_pid_start=st.integers(0, 2),
        ),
        max_size=4,
        unique_by=lambda identity: identity.name,
    ),
    facts(),
    claims,
)
def test_select_takes_one_that_fits_whatever_the_order(
    identities: list[Identity], facts: Facts, name: str
) -> None:
    def run(order: list[Identity]) -> str:
        try:
            chosen = select(order, worktree=Path("/w/here"), env={"THRUM_NAME": name}, facts=facts)
        except ThrumError as error:
            return f"{type(error).__name__} {error}"
        assert chosen.identity in identities
        assert chosen.ignored_name == (name if chosen.by != "THRUM_NAME" else "")
        if name in {identity.name for identity in identities}:
            assert chosen.identity.name == name
        return f"{chosen.by} {chosen.identity.name}"

    assert run(identities) == run(identities[::-1])


def _shuffled(table: Mapping[K, V]) -> dict[K, V]:
    return dict(reversed(list(table.items())))
