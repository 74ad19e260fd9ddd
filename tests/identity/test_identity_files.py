"""Identity files on a real disk."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import msgspec
import pytest

from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import FileDamaged, InvalidName
from thrum_kernel.identity import files, world
from thrum_kernel.identity.model import AgentName, Identity

CLOCK = SystemClock()


def identity(name: str, **fields: object) -> Identity:
    fields.setdefault("worktree", "/w")
    return msgspec.structs.replace(Identity(agent=AgentName(name=name, role="r", module="m")), **fields)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".thrum" / "identities"


def test_what_is_written_is_read_again_with_time_and_runtime(folder: Path) -> None:
    written = files.write(folder, identity("ada", preferred_runtime="claude"), clock=CLOCK)

    assert files.read(folder, "ada") == written
    assert (written.runtime, written.version) == ("claude", 5)
    assert written.updated_at.endswith("Z")
    assert (folder / "ada.json").stat().st_mode & 0o777 == 0o600
    assert set(json.loads((folder / "ada.json").read_text())["agent"]) == {
        "kind",
        "name",
        "role",
        "module",
        "display",
    }


def test_a_missing_file_is_none_and_a_missing_folder_empty(folder: Path) -> None:
    assert files.read(folder, "ada") is None
    assert files.read_all(folder) == files.Found((), ())
    assert not files.remove(folder, "ada")
    assert files.quarantine(folder, "ada") is None
    assert files.update(folder, "ada", lambda found: found, clock=CLOCK) is None
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\0b", "x" * 300, "agent:../x"])
def test_no_name_leads_out_of_the_folder(folder: Path, name: str) -> None:
    for action in (files.read, files.remove, files.quarantine):
        with pytest.raises(InvalidName):
            action(folder, name)
    with pytest.raises(InvalidName):
        files.update(folder, name, lambda _: identity("ada"), clock=CLOCK)
    assert not folder.exists()


def test_old_and_unnamed_agents_have_their_files(folder: Path) -> None:
    assert files.file_name("agent:planner:ABC") == "planner_ABC.json"
    unnamed = Identity(agent=AgentName(role="planner", module="web/api"))

    files.write(folder, unnamed, clock=CLOCK)

    assert [path.name for path in folder.iterdir()] == ["planner_web_api.json"]
    assert files.read_all(folder).identities[0].name == unnamed.name


def test_update_keeps_what_others_wrote_and_unknown_keys(folder: Path) -> None:
    files.write(folder, identity("ada", intent="old"), clock=CLOCK)
    raw = json.loads((folder / "ada.json").read_text())
    (folder / "ada.json").write_text(json.dumps({**raw, "branch": "feature", "Theme": "dark"}))

    after = files.update(
        folder, "ada", lambda now: now and msgspec.structs.replace(now, intent="new"), clock=CLOCK
    )

    assert after is not None
    assert (after.intent, after.branch, after.extra) == ("new", "feature", {"Theme": "dark"})
    assert files.read(folder, "ada") == after


def test_update_without_a_change_writes_nothing(folder: Path) -> None:
    files.write(folder, identity("ada"), clock=CLOCK)
    before = (folder / "ada.json").stat()

    files.update(folder, "ada", lambda now: now, clock=CLOCK)
    files.update(folder, "ada", lambda _: None, clock=CLOCK)

    assert (folder / "ada.json").stat().st_ino == before.st_ino


def test_concurrent_updates_lose_nothing(folder: Path) -> None:
    files.write(folder, identity("ada", agent_pid=0), clock=CLOCK)

    def add() -> None:
        for _ in range(10):
            files.update(
                folder,
                "ada",
                lambda now: now and msgspec.structs.replace(now, agent_pid=now.agent_pid + 1),
                clock=CLOCK,
            )

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = files.read(folder, "ada")
    assert found is not None
    assert found.agent_pid == 40
    assert [path.name for path in folder.iterdir()] == ["ada.json"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"agent": {"name": "ada"', "line 1, column 25"),
        ("", "is empty"),
        ("[]", "not an object"),
        ('{"agent": {"name": "bob"}}', "is the identity of bob"),
        ('{"agent": {"name": "../x"}}', "names an agent that cannot be"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_damaged_file_is_named_and_left_alone(folder: Path, text: str, told: str) -> None:
    files.write(folder, identity("bert"), clock=CLOCK)
    (folder / "ada.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(FileDamaged, match=told) as caught:
        files.read(folder, "ada")
    with pytest.raises(FileDamaged):
        files.update(folder, "ada", lambda _: identity("ada"), clock=CLOCK)
    found = files.read_all(folder)

    assert caught.value.path == str(folder / "ada.json")
    assert [problem.path for problem in found.problems] == [str(folder / "ada.json")]
    assert [good.name for good in found.identities] == ["bert"]
    assert (folder / "ada.json").read_bytes() == text.encode("latin-1")


def test_symbolic_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    files.write(folder, identity("ada"), clock=CLOCK)
    (folder / "bob.json").symlink_to(folder / "ada.json")
    with pytest.raises(FileDamaged, match="symbolic link"):
        files.read(folder, "bob")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(folder)
    for action in (files.remove, files.quarantine):
        with pytest.raises(FileDamaged, match="symbolic link"):
            action(elsewhere, "ada")
    with pytest.raises(FileDamaged, match="symbolic link"):
        files.write(elsewhere, identity("ada"), clock=CLOCK)
    assert files.read_all(elsewhere).problems
    assert files.read(folder, "ada") is not None


def test_a_fifo_does_not_hang_the_reader(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / "ada.json")

    assert len(files.read_all(folder).problems) == 1


def test_quarantine_keeps_earlier_ones(folder: Path) -> None:
    kept = []
    for intent in ("one", "two"):
        files.write(folder, identity("ada", intent=intent), clock=CLOCK)
        kept.append(files.quarantine(folder, "ada"))

    assert [path.name for path in kept if path] == ["ada.json", "ada.1.json"]
    assert [json.loads(path.read_text())["intent"] for path in kept if path] == ["one", "two"]
    assert files.read_all(folder) == files.Found((), ())


def test_what_gave_its_place_up_stays_beside_and_is_no_identity(folder: Path) -> None:
    kept = []
    for intent in ("one", "two"):
        files.write(folder, identity("ada", intent=intent), clock=CLOCK)
        kept.append(files.retire(folder, "ada"))

    assert [path.name for path in kept if path] == ["ada.json.deleted", "ada.json.deleted.1"]
    assert [json.loads(path.read_text())["intent"] for path in kept if path] == ["one", "two"]
    assert files.read_all(folder) == files.Found((), ())
    assert files.retire(folder, "ada") is None
    assert files.retire(folder / "nowhere", "ada") is None


def test_remove_removes_one(folder: Path) -> None:
    files.write(folder, identity("ada"), clock=CLOCK)
    files.write(folder, identity("bob"), clock=CLOCK)

    assert files.remove(folder, "ada")
    assert [left.name for left in files.read_all(folder).identities] == ["bob"]


def test_scan_makes_the_world_of_what_is_on_disk(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    files.write(one / ".thrum/identities", identity("ada", agent_pid=7, agent_pid_start=3), clock=CLOCK)
    files.write(one / ".thrum/identities", identity("bob", agent_pid=8), clock=CLOCK)
    files.write(two / ".thrum/identities", identity("cyd", agent_pid=7, agent_pid_start=4), clock=CLOCK)
    (two / ".thrum/identities/dan.json").write_text("{")

    scanned = world.scan([one, two, tmp_path / "gone"], names=["eve"])
    status = one.stat()

    assert scanned.world.worktrees[(status.st_dev, status.st_ino)] == world.Worktree(one, ("ada", "bob"))
    assert scanned.world.runtimes == {(7, 3): "ada", (7, 4): "cyd"}
    assert scanned.world.names == {"ada", "bob", "cyd", "eve"}
    assert scanned.world.places_of("cyd") == (two,)
    assert [problem.path for problem in scanned.problems] == [str(two / ".thrum/identities/dan.json")]
    assert world.build(reversed(scanned.identities), names=["eve"]) == scanned.world


def test_a_process_that_two_agents_name_proves_nothing(tmp_path: Path) -> None:
    shared = {"agent_pid": 7, "agent_pid_start": 3}

    found = world.build([(tmp_path, identity("ada", **shared)), (tmp_path, identity("bob", **shared))])

    assert found.runtimes == {}
