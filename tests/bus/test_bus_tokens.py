"""Tokens: who may mint what, what verifies, and what ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from bus_house import ALICE, NOBODY
from bus_tokens import FakeClock, person, token_methods

from thrum_kernel.api import Caller
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.tokens import LOCAL_MIGRATIONS, TICKET_TTL_S, Tokens
from thrum_kernel.errors import AnonymousCaller, GuardFired, InvalidName, NotFound, Refused, UsageError
from thrum_kernel.projection.local import LocalDb

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalDb]:
    db = LocalDb(tmp_path / "local.db", version="test")
    db.migrate(LOCAL_MIGRATIONS)
    yield db
    db.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def agents() -> dict[str, str]:
    return {"alice": "01A", "bob": "01B"}


@pytest.fixture
async def tokens(local: LocalDb, clock: FakeClock, agents: dict[str, str]) -> AsyncIterator[Tokens]:
    yield Tokens(local, clock, incarnation_of=lambda name: agents.get(name, ""))


@pytest.fixture
async def dispatcher(tokens: Tokens, clock: FakeClock) -> Dispatcher:
    made = Dispatcher()
    for method in token_methods(tokens, clock).methods():
        made.add(method)
    return made


async def mint(dispatcher: Dispatcher, caller: Caller, **params: Any) -> Any:
    return await dispatcher.call("token.mint", params, caller=caller, transport="unix")


async def test_only_a_hash_is_kept(tokens: Tokens, local: LocalDb) -> None:
    minted = await tokens.mint("alice", label="bridge")
    assert minted.text.startswith("tok_")
    rows = local.read("SELECT * FROM bus_tokens")
    assert len(rows) == 1
    assert minted.text.removeprefix("tok_") not in repr(rows)
    assert tokens.verify(minted.text).principal == "alice"
    assert len(bytes(rows[0][1])) == 32


@pytest.mark.parametrize("text", ["", "tok_", "tok_wrong", "x" * 100_000, "\udcff"])
async def test_what_is_no_token_is_refused(tokens: Tokens, text: str) -> None:
    await tokens.mint("alice")
    with pytest.raises(Refused):
        tokens.verify(text)


async def test_a_token_ends_with_its_time(tokens: Tokens, clock: FakeClock) -> None:
    minted = await tokens.mint("alice", ttl_s=100)
    grant = tokens.verify(minted.text)
    clock.us += 99_000_000
    assert grant.is_valid
    clock.us += 1_000_000
    assert not grant.is_valid
    with pytest.raises(Refused):
        tokens.verify(minted.text)
    await tokens.mint("bob")
    assert [row.principal for row in tokens.rows()] == ["bob"]


async def test_a_token_ends_with_its_incarnation(tokens: Tokens, agents: dict[str, str]) -> None:
    minted = await tokens.mint("alice")
    grant = tokens.verify(minted.text)
    agents["alice"] = "01C"
    assert not grant.is_valid
    with pytest.raises(Refused):
        tokens.verify(minted.text)
    with pytest.raises(Refused, match="agent carol is not registered here"):
        await tokens.mint("carol")


async def test_revoking_tells_and_ends(tokens: Tokens) -> None:
    told: list[str] = []
    tokens.revoked.append(told.append)
    minted = await tokens.mint("alice")
    grant = tokens.verify(minted.text)
    assert await tokens.revoke(minted.token_id)
    assert told == [minted.token_id]
    assert not grant.is_valid
    assert not await tokens.revoke(minted.token_id)
    with pytest.raises(Refused):
        tokens.verify(minted.text)


async def test_a_ticket_is_good_once_and_briefly(tokens: Tokens, clock: FakeClock) -> None:
    ticket = await tokens.mint_ticket("user:leon", ttl_s=500)
    with pytest.raises(Refused):
        tokens.verify(ticket.text)
    found = await asyncio.gather(*(tokens.redeem(ticket.text) for _ in range(5)), return_exceptions=True)
    good = [each for each in found if not isinstance(each, BaseException)]
    assert len(good) == 1
    assert good[0][0].principal == "user:leon"
    assert good[0][0].expires_us == clock.us + 500_000_000
    late = await tokens.mint_ticket("user:leon")
    clock.us += TICKET_TTL_S * 1_000_000
    with pytest.raises(Refused):
        await tokens.redeem(late.text)


# --- who may mint ----------------------------------------------------------------------------------------------------


async def test_a_caller_mints_for_itself(dispatcher: Dispatcher, tokens: Tokens) -> None:
    result = await mint(dispatcher, ALICE, label="x", ttl_s=60)
    assert tokens.verify(result["token"]).principal == result["principal"] == "alice"
    with pytest.raises(AnonymousCaller):
        await mint(dispatcher, NOBODY)


async def test_minting_is_for_the_unix_socket(dispatcher: Dispatcher) -> None:
    with pytest.raises(Exception, match="not registered"):
        await dispatcher.call("token.mint", caller=ALICE, transport="websocket")


@pytest.mark.parametrize(
    "caller",
    [
        person(runtime_pid=7, runtime="claude"),
        person(pid=0),
        person(worktree=None, reason="no git root"),
        person(kind="agent", agent_id="alice", source="worktree", runtime_pid=7),
        person(kind="agent", agent_id="alice", source="token"),
        person(kind="agent", agent_id="alice", source="claim", asserted=True),
        person(kind="user", agent_id="user:eve", source="token"),
    ],
)
async def test_a_user_token_is_refused_to_whoever_may_be_an_agent(
    dispatcher: Dispatcher, caller: Caller
) -> None:
    with pytest.raises(GuardFired, match="user_token_refused"):
        await mint(dispatcher, caller, user="leon")


@pytest.mark.parametrize(
    "caller",
    [
        person(),
        person(kind="agent", agent_id="alice", source="worktree"),
        person(kind="user", agent_id="user:leon", source="token"),
    ],
)
async def test_a_person_gets_a_user_token(dispatcher: Dispatcher, tokens: Tokens, caller: Caller) -> None:
    result = await mint(dispatcher, caller, user="leon")
    assert tokens.verify(result["token"]).principal == "user:leon"


async def test_bad_parameters_of_mint(dispatcher: Dispatcher) -> None:
    for ttl_s in (0, -1, 10**9):
        with pytest.raises(UsageError):
            await mint(dispatcher, ALICE, ttl_s=ttl_s)
    with pytest.raises(InvalidName):
        await mint(dispatcher, person(), user="Not A Name")


async def test_a_link_carries_a_ticket_and_no_token(dispatcher: Dispatcher, tokens: Tokens) -> None:
    result = await mint(dispatcher, person(), user="leon", link=True)
    assert "token" not in result
    url, _, ticket = result["url"].partition("?ticket=")
    assert url == "ws://127.0.0.1:4711/ws"
    redeemed = await dispatcher.call("token.redeem", {"ticket": ticket}, caller=NOBODY, transport="websocket")
    assert tokens.verify(redeemed["token"]).principal == "user:leon"


# --- list and revoke -------------------------------------------------------------------------------------------------


async def test_everyone_sees_and_revokes_their_own_a_person_all(dispatcher: Dispatcher) -> None:
    bob = Caller(kind="agent", agent_id="bob", runtime_pid=9, pid=8)
    mine = await mint(dispatcher, ALICE)
    theirs = await mint(dispatcher, bob)

    async def call(method: str, caller: Caller, **params: Any) -> Any:
        return await dispatcher.call(method, params, caller=caller, transport="unix")

    listed = (await call("token.list", bob))["tokens"]
    assert [token["token_id"] for token in listed] == [theirs["token_id"]]
    assert "token" not in listed[0]
    for caller, params in ((NOBODY, {}), (bob, {"all": True})):
        with pytest.raises(AnonymousCaller):
            await call("token.list", caller, **params)
    with pytest.raises(NotFound):
        await call("token.revoke", bob, token_id=mine["token_id"])
    with pytest.raises(AnonymousCaller):
        await call("token.revoke", NOBODY, token_id=mine["token_id"])
    assert len((await call("token.list", person(), all=True))["tokens"]) == 2
    assert (await call("token.revoke", person(), token_id=mine["token_id"]))["revoked"]
    assert (await call("token.revoke", bob, token_id=theirs["token_id"]))["revoked"]
    assert (await call("token.list", person(), all=True))["tokens"] == []


# --- users -----------------------------------------------------------------------------------------------------------


async def test_identify_says_who_commits(tokens: Tokens, clock: FakeClock) -> None:
    for name, expected in (("Leon Le Tto", "leon_le_tto"), ("", None)):
        dispatcher = Dispatcher()
        for method in token_methods(
            tokens, clock, git_user=lambda name=name: (name, "l@example.org")
        ).methods():
            dispatcher.add(method)
        if expected is None:
            with pytest.raises(UsageError, match=r"git user\.name is not set"):
                await dispatcher.call("user.identify", caller=NOBODY)
        else:
            found = await dispatcher.call("user.identify", caller=NOBODY)
            assert found == {"username": expected, "email": "l@example.org", "display": name}


async def test_registering_a_user_needs_that_users_token(dispatcher: Dispatcher, tokens: Tokens) -> None:
    async def register(caller: Caller) -> Any:
        params = {"username": "leon", "display": "Leon"}
        return await dispatcher.call("user.register", params, caller=caller, transport="websocket")

    with pytest.raises(AnonymousCaller):
        await register(NOBODY)
    for other in (ALICE, Caller(kind="user", agent_id="user:eve", source="token")):
        with pytest.raises(GuardFired, match="identity_mismatch"):
            await register(other)
    leon = Caller(kind="user", agent_id="user:leon", source="token")
    first, second = await register(leon), await register(leon)
    assert (first["status"], second["status"]) == ("registered", "existing")
    assert first["user_id"] == "user:leon"
    assert tokens.verify(first["token"]).principal == "user:leon"
