"""Saved context and the project's state between clones: what holds, what is kept, what is refused."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from context_house import House
from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.api import Caller
from thrum_kernel.clock import format_us
from thrum_kernel.context import Contexts
from thrum_kernel.context.model import SaveParams, ShowParams, SyncParams
from thrum_kernel.context.sharing import PROJECT_STATE
from thrum_kernel.errors import NotFound, Refused, UnknownAgent, UsageError
from thrum_kernel.ids import encode_ulid, ulid_ms
from thrum_kernel.store.purge import Purges
from thrum_kernel.store.shared import (
    MAX_BYTES,
    PROJECT,
    Copy,
    highest,
    owner_of,
    parse_copy,
    sharing_changes,
)


@pytest.fixture
def one(tmp_path: Path) -> House:
    return House(tmp_path / "one", "d_ONE")


@pytest.fixture
def two(tmp_path: Path) -> House:
    return House(tmp_path / "two", "d_TWO")


def share(house: House, name: str, data: bytes | None) -> str:
    return asyncio.run(house.sharing.share(name, data))


def share_state(house: House, *, force: bool = False) -> str:
    return asyncio.run(house.sharing.share_state(force=force))


def shown(house: House, daemon: str, name: str) -> bytes | None:
    found = house.sharing.latest(daemon, name)
    return found.data if found is not None else None


def state(house: House) -> str:
    found = house.project.read(PROJECT_STATE)
    return found.data.decode() if found is not None else ""


def write_state(house: House, text: str) -> None:
    house.project.write(PROJECT_STATE, text.encode())


# saved context


def test_what_was_shared_last_is_what_another_clone_has(one: House, two: House) -> None:
    share(one, "bob", b"first")
    two.take_from(one)
    share(one, "bob", b"second \xe2\x9c\x93\r\n")
    two.take_from(one)
    assert shown(two, "d_ONE", "bob") == b"second \xe2\x9c\x93\r\n"
    assert len(two.published()) == 1 and two.published() == one.published()


def test_sharing_the_same_again_writes_nothing(one: House) -> None:
    share(one, "bob", b"notes")
    before = one.published()
    share(one, "bob", b"notes")
    assert one.published() == before


def test_agents_of_the_same_name_on_two_daemons_do_not_mix(one: House, two: House) -> None:
    share(one, "bob", b"one")
    share(two, "bob", b"two")
    one.take_from(two)
    two.take_from(one)
    for house in (one, two):
        assert (shown(house, "d_ONE", "bob"), shown(house, "d_TWO", "bob")) == (b"one", b"two")


def test_what_is_taken_back_stays_away_though_an_old_clone_brings_it(one: House, two: House) -> None:
    share(one, "bob", b"notes")
    two.take_from(one)
    share(one, "bob", None)
    assert shown(one, "d_ONE", "bob") is None
    one.take_from(two)
    assert shown(one, "d_ONE", "bob") is None and b"notes" not in one.published().values()
    two.take_from(one)
    assert shown(two, "d_ONE", "bob") is None
    with pytest.raises(NotFound, match="no context saved for bob"):
        share(one, "bob", None)


def test_a_deleted_agent_leaves_the_same_file_in_every_clone(one: House, two: House) -> None:
    share(one, "bob", b"notes")
    two.take_from(one)
    ulid = one.new_id("")
    assert asyncio.run(one.sharing.withdraw("d_ONE", "bob", ulid))
    assert asyncio.run(two.sharing.withdraw("d_ONE", "bob", ulid))
    assert one.published() == two.published() == {f"context/d_ONE/bob/evt_{ulid}.md": b""}
    assert not asyncio.run(two.sharing.withdraw("d_ONE", "carol", ulid))


def test_a_purge_takes_older_copies_and_lets_none_come_back(one: House, two: House) -> None:
    share(one, "bob", b"old words")
    two.take_from(one)
    (copy,) = one.texts.copies()
    purges = Purges(cutoff=format_us((ulid_ms(copy.ulid) + 1) * 1000))
    one.texts.drop_lower(purges)
    assert one.published() == {}
    one.take_from(two, purges)
    assert one.published() == {}
    assert sharing_changes((), two.texts.copies(), purges).remove == [copy.path]


def test_a_copy_from_the_far_future_does_not_hold(one: House, two: House) -> None:
    copy = Copy(owner_of("d_ONE", "bob"), encode_ulid((ulid_ms(one.new_id("")) + 90_000_000) << 80))
    one.texts.write(copy, b"for ever")
    two.take_from(one)
    assert two.published() == {}
    assert sharing_changes(two.texts.copies(), one.texts.copies(), Purges()) == ([], [])


@pytest.mark.parametrize("data", [b"x" * (MAX_BYTES + 1), b"\xff\xfe"], ids=["large", "binary"])
def test_what_cannot_be_shared_is_refused_and_nothing_changes(one: House, data: bytes) -> None:
    with pytest.raises(UsageError):
        share(one, "bob", data)
    assert one.published() == {}


def test_a_larger_copy_of_another_program_is_not_taken(one: House, two: House) -> None:
    one.texts.write(Copy(owner_of("d_ONE", "bob"), one.new_id("")), b"x" * (MAX_BYTES + 1))
    assert "larger than" in two.take_from(one)[0]
    assert two.published() == {}


def test_a_text_that_is_held_back_does_not_leave(tmp_path: Path) -> None:
    house = House(tmp_path, held=lambda text: ["password"] if "hunter2" in text else [])
    with pytest.raises(Refused, match="secret"):
        share(house, "bob", b"password hunter2")
    assert house.published() == {} and share(house, "bob", b"password ...") == "no remote configured"


@pytest.mark.parametrize(
    "path",
    [
        "context/d/../evt_01JABCDEFGHJKMNPQRSTVWXYZ0.md",
        "context/d/bob/../evt_01JABCDEFGHJKMNPQRSTVWXYZ0.md",
        "context/d/bob/evt_01JABCDEFGHJKMNPQRSTVWXYZ0.md/x",
        "context//bob/evt_01JABCDEFGHJKMNPQRSTVWXYZ0.md",
        "context/d/bob/evt_01JABCDEFGHJKMNPQRSTVWXYZ.md",
        "context/d/bob/evt_01JABCDEFGHJKMNPQRSTVWXYZU.md",
        "context/d/bob/.git",
        "events/d/bob/evt_01JABCDEFGHJKMNPQRSTVWXYZ0.md",
    ],
)
def test_other_paths_are_no_copies(path: str) -> None:
    assert parse_copy(path) is None


@given(st.text(min_size=1, max_size=200))
def test_the_path_of_any_name_is_one_of_a_copy_and_never_the_projects(name: str) -> None:
    copy = Copy(owner_of("d_ONE", name), "01JABCDEFGHJKMNPQRSTVWXYZ0")
    assert parse_copy(copy.path) == copy and (name == PROJECT) == copy.owner.endswith(f"/{PROJECT}")


IDS = st.integers(0, 30).map(lambda number: encode_ulid(number << 64))
COPIES = st.builds(Copy, st.sampled_from(["d_ONE/a", "d_TWO/a"]), IDS)


@given(st.lists(COPIES), st.lists(COPIES))
def test_after_both_committed_there_is_nothing_more_to_change(here: list[Copy], there: list[Copy]) -> None:
    add, remove = sharing_changes(here, there, Purges())
    tree = {copy.path for copy in there} - set(remove) | set(add)
    copies = [copy for path in tree if (copy := parse_copy(path)) is not None]
    assert highest(copies) == highest([*here, *there])
    assert sharing_changes(highest([*here, *there]).values(), copies, Purges()).add == []


# the project's state


def test_the_state_goes_to_a_clone_that_has_none_and_follows(one: House, two: House) -> None:
    write_state(one, "v1")
    share_state(one)
    two.take_from(one)
    assert state(two) == "v1"
    write_state(two, "v2")
    share_state(two)
    one.take_from(two)
    assert state(one) == "v2"


def test_a_state_that_was_edited_here_is_not_replaced(one: House, two: House) -> None:
    write_state(one, "v1")
    share_state(one)
    two.take_from(one)
    write_state(two, "mine")
    write_state(one, "v2")
    share_state(one)
    two.take_from(one)
    assert state(two) == "mine"
    with pytest.raises(Refused, match="somebody else"):
        share_state(two)
    assert state(two) == "mine"
    share_state(two, force=True)
    one.take_from(two)
    assert state(one) == "mine"


def test_a_state_that_nobody_wrote_cannot_be_shared(one: House) -> None:
    with pytest.raises(NotFound, match="no project state"):
        share_state(one)


# the methods


def asked(house: House, trees: dict[str, Path] | None = None) -> Contexts:
    places = trees if trees is not None else {"bob": house.root}
    return Contexts(
        thrum_of=lambda name: places[name] / ".thrum" if name in places else None,
        shared=house.root / ".thrum",
        sharing=house.sharing,
    )


class As:
    """A call of an agent."""

    def __init__(self, name: str) -> None:
        self.caller = Caller(kind="agent", agent_id=name, source="worktree")


def show(house: House, name: str, **asked_for: Any) -> Any:
    room = asked(house, {"alice": house.root})
    return asyncio.run(room.show(As("alice"), ShowParams(agent_name=name, **asked_for)))  # type: ignore[arg-type]


def test_show_when_given_the_address_of_another_clones_agent_gives_what_it_shared(
    one: House, two: House
) -> None:
    room = asked(one)
    text = base64.b64encode(b"notes").decode()
    asyncio.run(room.save(As("bob"), SaveParams(agent_name="bob", content=text)))  # type: ignore[arg-type]
    one.why_not = ""
    done = asyncio.run(room.sync(As("bob"), SyncParams(agent_name="bob")))  # type: ignore[arg-type]
    assert done.message == "Context synced for bob."
    two.take_from(one)
    two.agents = {"bob@host": ("d_ONE", "bob"), "bob": ("d_ONE", "bob")}
    for address in ("bob@host", "@bob@host", "bob"):
        found = show(two, address)
        assert (found.content, found.has_context, found.has_preamble) == (text, True, False)
        assert found.updated_at.endswith("Z")
    with pytest.raises(UnknownAgent):
        show(two, "carol@host")
    assert not show(two, "carol").has_context


def test_show_when_asked_for_the_shared_state_gives_theirs(one: House, two: House) -> None:
    write_state(one, "theirs")
    share_state(one)
    write_state(two, "mine")
    two.take_from(one)
    assert base64.b64decode(show(two, "alice", include_project=True).project_state) == b"mine"
    shared = show(two, "alice", include_project=True, shared=True)
    assert base64.b64decode(shared.project_state) == b"theirs"
