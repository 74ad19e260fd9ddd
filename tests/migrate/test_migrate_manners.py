"""Migrating may be cut short anywhere, done twice at once in two clones, and touches nothing of the person's."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import migrate_layouts as layouts
import pytest
from migrate_house import lines_of, messages, migrate, numbers, preview, project, published, served, tree_hash
from migrate_team import Team

from thrum_kernel.cli import bringing
from thrum_kernel.errors import GitFailed, Refused, StoreError
from thrum_kernel.migrate import places
from thrum_kernel.migrate.run import Migration
from thrum_kernel.paths import Paths
from thrum_kernel.store.purge import Purges
from thrum_kernel.store.tree import Tree
from thrum_kernel.testing.disk import FaultDisk
from thrum_kernel.testing.harness import Repo

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from thrum_kernel import paths
from thrum_kernel.cli import bringing
from thrum_kernel.migrate import places
from thrum_kernel.store import disk

left = int(sys.argv[2])
for name in ("move", "create", "sync_folder"):
    real = getattr(disk.OsDisk, name)
    def counted(self, *args, real=real, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *args, **more)
    setattr(disk.OsDisk, name, counted)
where = paths.find(Path(sys.argv[1]), env={})
bringing.bring(where, lambda: places.find(where))
"""


def _prepared(tmp_path: Path, env: dict[str, str], name: str, *, number: int = 12) -> tuple[Repo, Paths]:
    repo = Repo.make(tmp_path / name, env)
    layouts.flat_branch(repo, Team(messages=number))
    return repo, project(repo)


def test_killed_anywhere_and_done_again_it_comes_to_the_same(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    _, whole = _prepared(tmp_path, isolated_home, "whole")
    report = migrate(whole)
    repo, where = _prepared(tmp_path, isolated_home, "killed")
    kills = 0
    for left in (1, 4, 9, 15, 23, 34):
        done = subprocess.run(
            [sys.executable, "-c", KILLED_AT, str(repo.path), str(left)], check=False, capture_output=True
        )
        kills += done.returncode == -signal.SIGKILL

    again = migrate(where)

    assert kills >= 4
    assert published(where) == published(whole)
    assert numbers(again, "after") == numbers(report, "after")
    assert migrate(where).new == 0


def test_every_call_of_the_disk_may_be_the_last_before_a_power_cut(repo: Repo) -> None:
    """The migrated log is whole after each, or becomes so when it is done again."""
    layouts.flat_branch(repo, Team(messages=4))
    sources = places.find(project(repo))

    def run(disk: FaultDisk) -> None:
        Migration(Tree(disk, Path("/T")), Path("/T"), purges=Purges()).run(sources, dry_run=False)

    def files(disk: FaultDisk) -> dict[str, bytes]:
        return {str(path): data for path, data in disk.files().items() if "/a-sync/" in str(path)}

    images: list[FaultDisk] = []
    disk = FaultDisk()
    disk.before_call = lambda found, verb: images.append(found.crashed())
    run(disk)
    disk.before_call = None
    wanted = files(disk)
    assert len(images) > 50 and len(wanted) > 5
    for image in images[:: max(1, len(images) // 25)]:
        run(image)
        assert files(image) == wanted


def test_a_disk_that_refuses_is_told_and_the_next_run_goes_on(repo: Repo) -> None:
    layouts.flat_branch(repo, Team(messages=4))
    sources = places.find(project(repo))
    disk = FaultDisk()
    disk.fail(40)
    migration = Migration(Tree(disk, Path("/T")), Path("/T"), purges=Purges())

    with pytest.raises(StoreError):
        migration.run(sources, dry_run=False)

    report = migration.run(sources, dry_run=False)
    assert numbers(report, "after") == numbers(report)


def test_nothing_of_the_persons_is_touched(repo: Repo) -> None:
    team = Team(messages=4)
    layouts.monolith(repo, team)
    layouts.flat_branch(repo, team)
    (repo.path / "draft.txt").write_text("not saved")
    (repo.path / "staged.txt").write_text("staged")
    repo.git("add", "staged.txt")
    (repo.path / "README.md").write_text("changed")
    repo.git("stash", "push", "-q", "README.md")
    hook = repo.path / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {repo.path}/hooked\n")
    hook.chmod(0o755)
    where = project(repo)

    def seen() -> dict[str, object]:
        kept = {
            name: value
            for name, value in tree_hash(repo.path).items()
            if not name.startswith((".git/thrum-sync/", ".thrum/"))
            and name not in (".git/worktrees/a-sync/gitdir", ".git/index")
        }
        return {
            "files": kept,
            "index": repo.git("ls-files", "--stage"),
            "refs": repo.git("for-each-ref"),
            "head": repo.git("rev-parse", "HEAD"),
            "status": repo.git("status", "--porcelain"),
        }

    before = seen()
    index = (repo.path / ".git" / "index").read_bytes()
    worktree = tree_hash(where.published)
    sources = tree_hash(repo.path / ".thrum")

    report = migrate(where)

    assert (repo.path / ".git" / "index").read_bytes() == index
    assert seen() == before and not (repo.path / "hooked").exists()
    assert tree_hash(Path(report.moved)) == worktree
    after = tree_hash(repo.path / ".thrum")
    assert {name: after[name] for name in sources} == sources
    listed = repo.git("worktree", "list", "--porcelain")
    assert report.moved in listed and "prunable" not in listed
    assert repo.git("-C", report.moved, "status", "--porcelain") == ""


def test_two_clones_that_both_migrate_the_same_hold_the_same_files(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    _, one = _prepared(tmp_path, isolated_home, "one")
    _, two = _prepared(tmp_path, isolated_home, "two")
    migrate(one)
    migrate(two)

    assert published(one) == published(two)


def test_a_daemon_of_the_earlier_program_is_not_worked_beside(repo: Repo) -> None:
    layouts.flat_branch(repo, Team(messages=4))
    where = project(repo)
    where.var.mkdir()
    lock = where.var / "thrum.lock"
    lock.touch()
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = places.find(where)
        with pytest.raises(Refused, match="earlier thrum is running"):
            bringing.bring(where, lambda: places.find(where))
    assert [source.label for source in places.find(where)] == [source.label for source in before]
    assert migrate(where).new > 0


def test_a_daemon_that_starts_first_moves_the_work_tree_aside_and_says_so(repo: Repo) -> None:
    team = Team(messages=4)
    worktree = layouts.last_version(repo, team)
    where = project(repo)
    held = {path.name for path in worktree.iterdir()}

    with served(repo) as kernel:
        warnings = kernel.call("daemon.status")["warnings"]
    aside = where.sync / "a-sync.before-thrum"

    assert {path.name for path in aside.iterdir()} == held
    assert any("thrum migrate" in warning for warning in warnings)
    report = migrate(where)
    assert numbers(report, "after")["messages"] == team.counts()["message.create"]


def test_a_file_of_that_name_that_is_the_persons_own_is_left_alone(repo: Repo) -> None:
    (repo.path / "messages.jsonl").write_text('{"role": "user", "content": "hello"}\n')
    where = project(repo)

    assert places.find(where) == [] and not places.is_there(where)


def test_a_place_can_be_named(tmp_path: Path, repo: Repo) -> None:
    team = Team(messages=4)
    backup = tmp_path / "backup" / "current"
    layouts.write_flat(backup, team)
    where = project(repo)

    report = bringing.bring(where, lambda: bringing.chosen(where, str(backup), repo.path))

    assert numbers(report, "after")["messages"] == team.counts()["message.create"]
    assert bringing.chosen(where, "folder", repo.path) == []


def test_the_reference_keeps_its_record_when_it_was_cut_short_while_moving(repo: Repo) -> None:
    layouts.flat_branch(repo, Team(messages=4))
    where = project(repo)
    where.published.rename(where.sync / "a-sync.before-thrum")  # and then the machine went down

    migrate(where)

    listed = repo.git("worktree", "list", "--porcelain")
    assert "a-sync.before-thrum" in listed and "prunable" not in listed
    with served(repo) as kernel:
        assert len(messages(kernel)) == len(Team(messages=4).of("message.create"))
    assert all(len(set(lines)) == 1 for lines in lines_of(where).values())


def test_a_git_that_fails_is_told_in_one_line(repo: Repo) -> None:
    layouts.flat_branch(repo, Team(messages=4))
    where = project(repo)
    tree = repo.git("rev-parse", "a-sync^{tree}")
    damaged = repo.path / ".git" / "objects" / tree[:2] / tree[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(b"xx")
    with pytest.raises(GitFailed) as caught:
        preview(where)
    assert "\n" not in caught.value.reason
