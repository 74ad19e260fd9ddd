"""A copied, moved or restored repository with real daemons: who keeps the id, and that both come to the same log."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sync_copies import Project, bare, converge, projects, remove

from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.spawner import Spawner
from thrum_kernel.testing.waiting import until

SOAK = os.environ.get("THRUM_SOAK") == "1"
at_length = pytest.mark.skipif(not SOAK, reason="ten seconds of daemons that start and stop: make soak")


@pytest.fixture
def origin(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    return bare(tmp_path / "host", isolated_home)


@contextlib.contextmanager
def mounted(folder: Path, at: Path) -> Iterator[None]:
    """*folder* under a second path, as a container sees it."""
    done = subprocess.run(
        ["mount", "--bind", str(folder), str(at)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"this machine does not let us mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def is_sound(project: Project) -> None:
    found = project.cli.json("log", "verify")
    assert found["ok"] and not found["problems"], found["problems"]


@pytest.mark.parametrize("running", [pytest.param(False, marks=at_length), True])
def test_a_copy_takes_an_id_of_its_own_and_the_past_stays_one(
    origin: Repo, thrum_spawner: Spawner, running: bool
) -> None:
    with projects(origin, thrum_spawner) as there:
        one = there.clone("one")
        one.send("of the common past")
        one.cli("sync", "force")
        one.send("not published yet")
        pid, kept = one.pid, one.daemon_id
        if not running:
            one.cli("daemon", "stop")
        two = there.copy(one, "two")
        if running:
            two.cli.run("daemon", "stop")  # the pid file came along, and names the original's daemon
            assert one.pid == pid
            two.cli.run("init", "--non-interactive", "--stealth", "--no-daemon")
        one.cli("daemon", "start") if not running else None
        two.cli("daemon", "start")
        assert one.daemon_id == kept != two.daemon_id
        assert str(one.path).encode() not in (two.sync / "local.db").read_bytes()
        assert "had not read stays with the old one" in two.warnings()
        two.as_agent("alice")("session", "start")
        two.send("from the copy")
        converge(one, two)
        assert one.texts("bob") == ["not published yet", "of the common past"]
        assert two.texts("bob") == ["from the copy"]
        assert one.team() == two.team() and {*one.team()} == {kept, two.daemon_id}
        for each in (one, two):
            is_sound(each)
            assert "quarantine" not in each.warnings()
        two.send("and again")  # the next publish drops journals whose owner has published them
        two.cli("sync", "force")
        until(lambda: kept not in "".join(path.read_text() for path in (two.sync / "journal").iterdir()))


@at_length
def test_two_copies_that_nothing_else_tells_apart_come_to_two_ids(
    origin: Repo, thrum_spawner: Spawner
) -> None:
    with projects(origin, thrum_spawner) as there:
        first = there.clone("first")
        first.send("of the common past")
        first.cli("sync", "force")
        first.cli("daemon", "stop")
        two = there.copy(first, "two")
        one = there.moved(first, "one")  # what both remember is gone, so both believe that they were moved
        for each in (one, two):
            each.cli("daemon", "start")
            each.cli("sync", "force")
        kept = one.daemon_id
        assert two.daemon_id == kept
        pids = one.pid, two.pid
        for each in (one, two):
            each.send(f"by {each.path.name}")
        for each in (one, two, one, two):
            each.cli.run("sync", "force")
        until(lambda: two.daemon_id != kept)
        until(lambda: two.cli.json("daemon", "status").get("identity", {}).get("daemon_id") == two.daemon_id)
        assert (one.pid, two.pid) == pids, "it begins again in the same process"
        converge(one, two)
        assert one.daemon_id == kept
        assert "takes a new id when it notices" in one.warnings()
        assert "stays with the old one" in two.warnings()
        assert one.texts("bob") == ["by one", "by two", "of the common past"]
        assert two.texts("bob") == []
        two.as_agent("alice")("session", "start")
        two.send("by the new one")
        converge(one, two)
        assert two.texts("bob") == ["by the new one"] and "by the new one" in one.log_texts()
        for each in (one, two):
            is_sound(each)
            assert "quarantine" not in each.warnings()
        again = one.daemon_id, two.daemon_id
        for each in (two, one):
            each.cli("daemon", "restart")
        converge(one, two)
        assert (one.daemon_id, two.daemon_id) == again, "it is settled"


@at_length
def test_an_older_backup_over_itself_keeps_the_id_and_everything_comes_back(
    origin: Repo, thrum_spawner: Spawner
) -> None:
    with projects(origin, thrum_spawner) as there:
        one = there.clone("one")
        one.send("before the backup")
        one.cli("daemon", "stop")
        backup = there.copy(one, "backup")
        one.cli("daemon", "start")
        for text in ("after the backup", "and more"):
            one.send(text)
            one.cli("sync", "force")
        kept = one.daemon_id
        one.cli("daemon", "stop")
        remove(one)
        backup.path.rename(one.path)
        one.cli("daemon", "start")
        one.send("after the restore")
        converge(one)
        assert one.daemon_id == kept
        expected = ["after the backup", "after the restore", "and more", "before the backup"]
        assert one.texts("bob") == expected
        assert "restored from a backup" in one.warnings()
        is_sound(one)
        one.cli("daemon", "restart")
        converge(one)
        assert one.daemon_id == kept and "restored from a backup" not in one.warnings()
        fresh = there.clone("fresh", "carol")
        converge(fresh, one)
        assert fresh.daemon_id != kept and fresh.team()[kept] == ["alice", "bob"]
        assert set(fresh.log_texts()) == set(expected) and len(fresh.log_texts()) == 4


@pytest.mark.parametrize("running", [False, pytest.param(True, marks=at_length)])
def test_a_move_keeps_the_id_and_the_agents(origin: Repo, thrum_spawner: Spawner, running: bool) -> None:
    with projects(origin, thrum_spawner) as there:
        one = there.clone("one")
        one.send("before")
        kept, pid = one.daemon_id, one.pid
        if not running:
            one.cli("daemon", "stop")
        moved = there.moved(one, "moved")
        if running:  # the daemon notices that its socket was taken away, and the next one takes the place
            until(lambda: not Path(f"/proc/{pid}").exists())
        else:
            moved.cli("daemon", "start")
        moved.send("after")
        moved.cli("sync", "force")
        assert moved.daemon_id == kept and moved.texts("bob") == ["after", "before"]
        members = moved.cli.json("team", "--all")["members"]
        assert {each["worktree_path"] for each in members} == {str(moved.path)}
        assert moved.warnings() == ""
        is_sound(moved)
        assert not one.path.exists(), "nothing is written where it was"


@at_length
def test_a_copy_whose_original_was_deleted_is_a_move(origin: Repo, thrum_spawner: Spawner) -> None:
    with projects(origin, thrum_spawner) as there:
        one = there.clone("one")
        one.send("before")
        one.cli("daemon", "stop")
        two = there.copy(one, "two")
        kept = one.daemon_id
        remove(one)
        two.cli("daemon", "start")
        assert two.daemon_id == kept and two.texts("bob") == ["before"]
        is_sound(two)


@at_length
def test_both_sides_of_a_copy_started_at_the_same_time(origin: Repo, thrum_spawner: Spawner) -> None:
    with projects(origin, thrum_spawner) as there:
        one = there.clone("one")
        one.cli("daemon", "stop")
        two = there.copy(one, "two")
        kept = one.daemon_id
        starting = [
            each.cli.background("daemon", "start", output=there.folder / f"{each.path.name}.out")
            for each in (two, one)
        ]
        for process in starting:
            assert process.wait(60) == 0
        until(lambda: one.cli.run("daemon", "status").status == two.cli.run("daemon", "status").status == 0)
        assert one.daemon_id == kept != two.daemon_id
        converge(one, two)
        assert {*one.team()} == {kept, two.daemon_id} == {*two.team()}


def test_a_copy_leaves_the_original_s_linked_worktrees_alone(origin: Repo, thrum_spawner: Spawner) -> None:
    with projects(origin, thrum_spawner) as there:
        one = there.clone("one")
        linked = there.at(one.repo.worktree("feature").path)
        linked.as_agent("dan")("quickstart", "dan", "--role", "tester", "--module", "m")
        one.cli("sync", "force")
        before = sorted((linked.path / ".thrum/identities").iterdir())
        two = there.copy(one, "two")
        two.cli("daemon", "start")
        converge(one, two)
        assert two.team()[two.daemon_id] == ["alice", "bob"]
        assert sorted(one.team()[one.daemon_id]) == ["alice", "bob", "dan"]
        (linked.path / ".thrum/identities/dan.json").unlink()  # the copy has no business to write it back
        two.cli("daemon", "restart")
        assert sorted((linked.path / ".thrum/identities").iterdir()) != before
        one.cli("daemon", "restart")
        assert sorted((linked.path / ".thrum/identities").iterdir()) == before


@at_length
def test_another_path_of_the_same_folder_is_the_same_daemon(origin: Repo, thrum_spawner: Spawner) -> None:
    with projects(origin, thrum_spawner) as there:
        one = there.clone("one")
        kept, pid = one.daemon_id, one.pid
        (there.folder / "mounted").mkdir()
        with mounted(one.path, there.folder / "mounted"):
            same = there.at(there.folder / "mounted")
            assert same.pid == pid, "the lock and the socket are the same"
            same.send("by the other path")
            same.cli("daemon", "restart")
            assert same.daemon_id == one.daemon_id == kept and same.warnings() == ""
            assert one.pid == same.pid
            same.cli("daemon", "stop")
        one.cli("daemon", "start")
        assert one.daemon_id == kept and one.texts("bob") == ["by the other path"]
        is_sound(one)
