"""The context methods on real folders of real worktrees' shape."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from context_house import House

from thrum_kernel.api import Caller
from thrum_kernel.context import Contexts
from thrum_kernel.context.folder import MAX_BYTES, ContextFolder
from thrum_kernel.context.model import AgentParams, PreambleSaveParams, SaveParams, ShowParams, SyncParams
from thrum_kernel.context.preamble import DEFAULT_PREAMBLE, compose
from thrum_kernel.context.room import check_name
from thrum_kernel.errors import FileDamaged, InvalidName, NotFound, Refused, UsageError

T = TypeVar("T")


@dataclass
class FakeCall:
    caller: Caller
    method: str = "context.x"
    request_id: str = ""
    transport: str = "unix"


@pytest.fixture
def trees(tmp_path: Path) -> dict[str, Path]:
    """Two worktrees, alice's being the main one."""
    for name in ("main", "feature"):
        (tmp_path / name / ".thrum").mkdir(parents=True)
    return {"alice": tmp_path / "main", "bob": tmp_path / "feature"}


@pytest.fixture
def room(trees: dict[str, Path]) -> Contexts:
    return Contexts(
        thrum_of=lambda name: trees[name] / ".thrum" if name in trees else None,
        shared=trees["alice"] / ".thrum",
        sharing=House(trees["alice"]).sharing,
    )


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def as_agent(name: str, worktree: Path | None = None) -> Any:
    return FakeCall(Caller(kind="agent", agent_id=name, source="worktree", worktree=worktree))


def test_save_when_shown_again_gives_the_same_bytes(room: Contexts, trees: dict[str, Path]) -> None:
    run(room.save(as_agent("bob"), SaveParams(agent_name="bob", content=b64("notes ✓\n"))))

    shown = run(room.show(as_agent("alice"), ShowParams(agent_name="bob")))

    assert shown.content == b64("notes ✓\n")
    assert (shown.has_context, shown.has_preamble, shown.size) == (True, True, 10)
    assert shown.preamble == b64(DEFAULT_PREAMBLE)
    assert (trees["bob"] / ".thrum/context/bob_session.md").read_text() == "notes ✓\n"
    assert not (trees["alice"] / ".thrum/context").exists()


def test_save_preamble_when_given_a_role_text_puts_it_before_the_default_and_the_overlay_after(
    room: Contexts, trees: dict[str, Path]
) -> None:
    ContextFolder(trees["bob"] / ".thrum").write("bob.md", b"overlay\n")
    wanted = PreambleSaveParams(agent_name="bob", role_text=b64("# Role\n"))

    run(room.save_preamble(as_agent("bob"), wanted))

    saved = (trees["bob"] / ".thrum/context/bob_preamble.md").read_text()
    assert saved == compose("# Role\n", "overlay\n")
    assert saved.startswith("# Role\n\n---\n\n# Working with Thrum") and saved.endswith("---\n\noverlay\n")


def test_save_preamble_when_given_content_and_a_role_text_is_refused(
    room: Contexts, trees: dict[str, Path]
) -> None:
    both = PreambleSaveParams(agent_name="bob", content=b64("x"), role_text=b64("y"))

    with pytest.raises(UsageError, match="mutually exclusive"):
        run(room.save_preamble(as_agent("bob"), both))

    assert not (trees["bob"] / ".thrum/context").exists()


def test_save_when_there_is_a_preamble_keeps_it(room: Contexts) -> None:
    run(room.save_preamble(as_agent("bob"), PreambleSaveParams(agent_name="bob", content=b64("mine"))))
    run(room.save(as_agent("bob"), SaveParams(agent_name="bob", content=b64("x"))))

    assert run(room.show_preamble(as_agent("bob"), AgentParams(agent_name="bob"))).content == b64("mine")


def test_show_when_nothing_was_saved_says_so(room: Contexts) -> None:
    shown = run(room.show(as_agent("bob"), ShowParams(agent_name="bob")))

    assert shown.content is None
    assert (shown.has_context, shown.has_preamble, shown.updated_at) == (False, False, "")


def test_show_when_asked_adds_overlay_and_project_state(room: Contexts, trees: dict[str, Path]) -> None:
    ContextFolder(trees["bob"] / ".thrum").write("bob.md", b"overlay")
    ContextFolder(trees["alice"] / ".thrum").write("project_state.md", b"state")

    shown = run(
        room.show(as_agent("bob"), ShowParams(agent_name="bob", include_overlay=True, include_project=True))
    )

    assert (shown.overlay, shown.project_state) == (b64("overlay"), b64("state"))
    assert not shown.has_context, "the overlay is not the saved context"


def test_clear_removes_the_saved_context_only(room: Contexts) -> None:
    run(room.save(as_agent("bob"), SaveParams(agent_name="bob", content=b64("x"))))

    first = run(room.clear(as_agent("bob"), AgentParams(agent_name="bob")))
    second = run(room.clear(as_agent("bob"), AgentParams(agent_name="bob")))

    assert first.message == "Context cleared for bob"
    assert second.message == "No context to clear for bob"
    assert run(room.show(as_agent("bob"), ShowParams(agent_name="bob"))).has_preamble


def test_write_when_the_caller_is_another_agent_is_refused(room: Contexts, trees: dict[str, Path]) -> None:
    with pytest.raises(Refused):
        run(room.save(as_agent("alice", trees["alice"]), SaveParams(agent_name="bob", content=b64("x"))))

    assert not (trees["bob"] / ".thrum/context").exists()


def test_write_when_the_caller_stands_in_the_agents_worktree_is_done(
    room: Contexts, trees: dict[str, Path]
) -> None:
    run(room.save(as_agent("carol", trees["bob"]), SaveParams(agent_name="bob", content=b64("x"))))

    assert (trees["bob"] / ".thrum/context/bob_session.md").is_file()


def test_write_when_the_caller_is_a_user_is_done(room: Contexts) -> None:
    user: Any = FakeCall(Caller(kind="user", agent_id="user:leon", source="token"))

    assert "Preamble saved" in run(room.save_preamble(user, PreambleSaveParams(agent_name="bob"))).message


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "a/b",
        "",
        ".",
        "..",
        ".hidden",
        "A",
        "x\0y",
        "bob_session",
        "a" * 300,
        "project_state",
    ],
)
def test_name_when_it_could_leave_the_folder_is_refused(
    room: Contexts, name: str, trees: dict[str, Path]
) -> None:
    user: Any = FakeCall(Caller(kind="user", agent_id="user:leon", source="token"))

    with pytest.raises(InvalidName):
        run(room.save(user, SaveParams(agent_name=name, content=b64("x"))))
    with pytest.raises(InvalidName):
        run(room.show(user, ShowParams(agent_name=name)))

    assert not (trees["alice"] / ".thrum/context").exists()


def test_name_when_it_is_a_users_is_taken() -> None:
    assert check_name("user:leon") == "user:leon"


@pytest.mark.parametrize("content", ["not base64!", base64.b64encode(b"\xff\xfe").decode()])
def test_content_when_it_is_no_text_in_base64_is_refused(room: Contexts, content: str) -> None:
    with pytest.raises(UsageError, match="UTF-8 text in base64"):
        run(room.save(as_agent("bob"), SaveParams(agent_name="bob", content=content)))


def test_content_when_it_is_too_large_is_refused(room: Contexts) -> None:
    with pytest.raises(UsageError, match="too large"):
        run(room.save(as_agent("bob"), SaveParams(agent_name="bob", content=b64("x" * (MAX_BYTES + 1)))))


@pytest.mark.parametrize("link", [".thrum", ".thrum/context", ".thrum/context/bob_session.md"])
def test_symlink_below_the_worktree_is_not_followed(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "bob_session.md").write_text("secret")
    tree = tmp_path / "tree"
    (tree / link).parent.mkdir(parents=True)
    target = outside / "bob_session.md" if link.endswith(".md") else outside
    (tree / link).symlink_to(target)
    if link == ".thrum":
        (outside / "context").mkdir()
    folder = ContextFolder(tree / ".thrum")

    if link.endswith(".md"):
        with pytest.raises(FileDamaged):
            folder.read("bob_session.md")
        folder.write("bob_session.md", b"mine")
    else:
        with pytest.raises(FileDamaged):
            folder.write("bob_session.md", b"mine")

    assert (outside / "bob_session.md").read_text() == "secret"
    assert sorted(path.name for path in outside.iterdir()) in (
        ["bob_session.md"],
        ["bob_session.md", "context"],
    )


def test_write_when_it_fails_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / ".thrum/context/x.md").mkdir(parents=True)
    folder = ContextFolder(tmp_path / ".thrum")

    with pytest.raises(FileDamaged):
        folder.write("x.md", b"1")

    assert [path.name for path in (tmp_path / ".thrum/context").iterdir()] == ["x.md"]


def test_read_when_it_is_a_fifo_does_not_block(tmp_path: Path) -> None:
    (tmp_path / ".thrum/context").mkdir(parents=True)
    os.mkfifo(tmp_path / ".thrum/context/x.md")

    with pytest.raises(FileDamaged, match="no regular file"):
        ContextFolder(tmp_path / ".thrum").read("x.md")


def test_sync_without_a_remote_says_it_is_local(room: Contexts) -> None:
    with pytest.raises(NotFound):
        run(room.sync(as_agent("bob"), SyncParams(agent_name="bob")))
    run(room.save(as_agent("bob"), SaveParams(agent_name="bob", content=b64("x"))))

    done = run(room.sync(as_agent("bob"), SyncParams(agent_name="bob")))

    assert done.message == "Context synced locally for bob (no remote configured)."


def test_compose_joins_what_there_is() -> None:
    assert compose("", "") == DEFAULT_PREAMBLE
    assert compose("# Role", "mine").split("\n---\n\n") == ["# Role\n", DEFAULT_PREAMBLE, "mine\n"]
