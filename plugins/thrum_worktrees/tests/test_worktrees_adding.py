"""Where a worktree may be, which branch it gets, and going on with one that is half made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from thrum_worktrees import adding, naming, places
from thrum_worktrees.planning import Wanted, Wish, plan
from thrum_worktrees.records import Head, head_of, record_of
from worktrees_ground import Site, commit

from thrum_kernel.errors import InvalidName, NotFound, ThrumError, UsageError
from thrum_kernel.testing.harness import Repo

PATIENCE_S = 20.0


def planned(site: Site, name: str, *, branch: str = "?", base: str = "", has_begun: bool = False) -> Wanted:
    branch = f"feature/{name}" if branch == "?" else branch
    return plan(site.ground, Wish(name, site.base / name, branch, base), has_begun=has_begun)


def add(site: Site, wanted: Wanted) -> Repo:
    with site.ground.git.alone() as writer:
        adding.add(writer, wanted)
    return Repo(wanted.path, site.repo.path, site.repo.env)


def refused(site: Site, name: str, **how: str) -> str:
    with pytest.raises(ThrumError) as caught:
        planned(site, name, **how)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a\\b", "a..b", "../a"])
def test_a_name_with_parts_is_refused_in_these_words(name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        naming.check_name(name)
    assert str(caught.value) == f'invalid worktree name "{name}": must not contain /, \\ or parent references'


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "a b", "a:b", "ä", "a\n", "a~1", "a.lock", "a.", "x" * 101, "@a"]
)
def test_a_name_that_is_no_part_of_path_branch_and_session_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        naming.check_name(name)


@pytest.mark.parametrize("name", ["a", "API-2.0", "fix_it", "x" * 100])
def test_a_plain_name_is_taken_with_and_without_branch(name: str) -> None:
    assert naming.check_name(name) == name


def test_where_worktrees_go(site: Site, tmp_path: Path) -> None:
    def base(configured: str) -> Path:
        return places.base_of(site.ground, configured)

    home = Path(site.repo.env["HOME"])
    assert base("") == home / ".thrum" / "worktrees" / "project"
    assert base("~/trees") == home / "trees" / "project"
    assert base("$HOME/.workspaces/") == home / ".workspaces" / "project"
    assert base(f"{tmp_path}/own/project") == tmp_path / "own" / "project"
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert base(f"{tmp_path}/link") == tmp_path / "disk" / "project"


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ("trees", "is not an absolute path"),
        ("{repo}", "is the repository itself"),
        ("{repo}/..", "is the repository itself"),
        ("{repo}/trees", "is inside"),
        ("{repo}/.git/trees", "is inside"),
        ("{tree}", "is inside"),
        ("/" + "x" * 201, "longer than 200 bytes"),
    ],
)
def test_where_worktrees_must_not_go(site: Site, configured: str, said: str) -> None:
    tree = site.worktree("a")
    with pytest.raises(UsageError, match=said):
        places.base_of(site.ground, configured.format(repo=site.repo.path, tree=tree.path))


def test_a_path_that_is_too_long_or_a_link_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="longer than 255 bytes"):
        places.path_for(site.ground, Path("/" + "x" * 190), "y" * 99)
    (tmp_path / "a").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="is a symbolic link"):
        places.path_for(site.ground, tmp_path, "a")


def test_a_new_branch_begins_where_the_main_worktree_stands(site: Site) -> None:
    commit(site.repo, "one")
    site.repo.git("checkout", "-q", "-b", "develop")
    tip = commit(site.repo, "two")

    wanted = planned(site, "a")
    tree = add(site, wanted)

    assert (wanted.base_name, wanted.is_new_branch, tree.git("rev-parse", "HEAD")) == ("develop", True, tip)
    assert tree.git("status", "--porcelain") == ""
    assert site.repo.git("symbolic-ref", "--short", "HEAD") == "develop"


def test_a_branch_that_is_there_is_taken_as_it_is(site: Site) -> None:
    site.repo.git("branch", "feature/a")
    commit(site.repo, "later")

    wanted = planned(site, "a", base="main")

    assert not wanted.is_new_branch and "was not needed" in wanted.notes[0]
    assert not (add(site, wanted).path / "later").exists()


def test_a_base_follows_no_remote_branch(site: Site) -> None:
    site.repo.git("remote", "add", "origin", str(site.repo.path))
    site.repo.git("fetch", "-q", "origin")

    tree = add(site, planned(site, "a", base="origin/main"))

    assert tree.git("for-each-ref", "--format=%(upstream)", "refs/heads/feature/a") == ""


def test_detached_at_a_tag(site: Site) -> None:
    site.repo.git("tag", "v1")
    tip = site.repo.git("rev-parse", "HEAD")
    commit(site.repo, "later")

    tree = add(site, planned(site, "a", branch="", base="v1"))

    assert head_of(site.ground.git, site.record(tree.path).folder) == Head("", tip)


def test_what_is_in_the_way_is_told_and_left_alone(site: Site) -> None:
    tree = site.worktree("a")
    (site.base / "full").mkdir()
    (site.base / "full" / "kept").write_text("kept\n")
    (site.base / "file").write_text("kept\n")
    before = site.repo.git("for-each-ref")

    assert "is no worktree of this repository" in refused(site, "full")
    assert "is a file" in refused(site, "file")
    assert f"branch feature/a is checked out at {tree.path}" in refused(site, "b", branch="feature/a")
    assert f"branch main is checked out at {site.repo.path}" in refused(site, "b", branch="main")
    assert "unexpected branch: it has branch feature/a, wanted was other" in refused(
        site, "a", branch="other"
    )
    assert "unexpected branch" in refused(site, "a", branch="")
    for branch in ("-f", "a..b", "HEAD", "a b", "a.lock", "@{-1}", "x~1", ""):
        if branch:
            assert "invalid branch name" in refused(site, "b", branch=branch)
    with pytest.raises(NotFound):
        planned(site, "b", base="nowhere")
    with pytest.raises(NotFound):
        planned(site, "b", base="--all")

    assert site.repo.git("for-each-ref") == before
    assert (site.base / "full" / "kept").exists()


def test_an_empty_folder_is_no_obstacle_and_one_that_is_there_is_reused(site: Site) -> None:
    (site.base / "a").mkdir(parents=True)
    tree = add(site, planned(site, "a"))
    (tree.path / "new").write_text("work\n")

    again = planned(site, "a")
    add(site, again)

    assert again.is_there and (tree.path / "new").read_text() == "work\n"


def test_a_worktree_whose_folder_was_deleted_is_made_again(site: Site) -> None:
    tree = site.worktree("a")
    shutil.rmtree(tree.path)

    add(site, planned(site, "a"))

    assert (tree.path / "README.md").exists()
    assert tree.git("status", "--porcelain") == ""


def test_what_was_added_in_a_folder_that_was_deleted_is_not_dropped(site: Site) -> None:
    tree = site.worktree("a")
    (tree.path / "new").write_text("work\n")
    tree.git("add", "new")
    shutil.rmtree(tree.path)

    assert "has 1 file added and not committed (new)" in refused(site, "a")


def test_commits_that_only_a_deleted_folders_record_leads_to_are_not_dropped(site: Site) -> None:
    tree = site.worktree("a", "--detach")
    commit(tree, "one")
    shutil.rmtree(tree.path)

    assert "leads to 1 commit that nothing else does" in refused(site, "a", branch="")

    site.base.rename(site.base.with_name("away"))
    assert f"nor is {site.base}" in refused(site, "a", branch="")
    site.repo.git("worktree", "lock", str(tree.path), "--reason", "on a stick")
    assert "is a locked worktree whose folder is not there (on a stick)" in refused(site, "a", branch="")


def test_a_repository_without_commits_says_so(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    bare = tmp_path / "fresh"
    bare.mkdir()
    repo = Repo(bare, bare, isolated_home)
    repo.git("init", "-q", "-b", "main")
    site = Site.of(repo)

    assert "has no commit yet" in refused(site, "a")


def test_no_hook_of_the_repository_runs_and_its_filters_do(site: Site) -> None:
    hook = site.repo.path / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch ran-hook\n")
    hook.chmod(0o755)
    site.repo.git("config", "filter.loud.smudge", "tr a-z A-Z")
    site.repo.git("config", "filter.loud.clean", "tr A-Z a-z")
    commit(site.repo, ".gitattributes", "*.txt filter=loud\n")
    commit(site.repo, "a.txt", "quiet\n")

    tree = add(site, planned(site, "a"))

    assert (tree.path / "a.txt").read_text() == "QUIET\n"
    assert not (tree.path / "ran-hook").exists()
    assert tree.git("status", "--porcelain") == ""


def half_made(site: Site, tmp_path: Path, name: str = "a") -> Path:
    """A ``git worktree add`` that was killed while it checked out: one file is there, one is cut, two are missing."""
    gate = tmp_path / "gate"
    script = tmp_path / "slow.sh"
    script.write_text(f"#!/bin/sh\n[ -e {gate} ] || {{ touch {tmp_path}/waits; exec sleep 600; }}\ncat\n")
    script.chmod(0o755)
    for file, text in (("a-first.txt", "first\n"), ("b-cut.txt", "0123456789\n"), ("d-last.txt", "last\n")):
        commit(site.repo, file, text)
    commit(site.repo, ".gitattributes", "c-slow.txt filter=slow\n")
    commit(site.repo, "c-slow.txt", "slow\n")
    site.repo.git("config", "filter.slow.smudge", str(script))
    path = site.base / name
    process = subprocess.Popen(
        ["git", "worktree", "add", "-q", "-b", f"feature/{name}", str(path)],
        cwd=site.repo.path,
        env=dict(site.repo.env),
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not (tmp_path / "waits").exists():
        assert time.monotonic() < deadline, "git did not come as far as the filter"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    gate.touch()
    return path


def test_what_a_kill_left_half_made_is_gone_on_with(site: Site, tmp_path: Path) -> None:
    path = half_made(site, tmp_path)
    record = site.record(path)
    assert record.is_being_made and not (record.folder / "index").exists()
    (path / "b-cut.txt").write_text("0123")
    (path / "a-first.txt").write_text("somebody's own\n")
    (path / "new.txt").write_text("somebody's own\n")
    (record.folder / "index.lock").touch()

    tree = add(site, planned(site, "a", has_begun=True))

    assert (path / "b-cut.txt").read_text() == "0123456789\n"
    assert [(path / f"{name}.txt").read_text() for name in ("c-slow", "d-last")] == ["slow\n", "last\n"]
    assert tree.git("status", "--porcelain").splitlines() == ["M a-first.txt", "?? new.txt"]
    assert (path / "a-first.txt").read_text() == (path / "new.txt").read_text() == "somebody's own\n"
    assert record_of(site.ground.git, path) is not None and site.record(path).lock is None


def test_what_was_begun_with_another_branch_is_not_gone_on_with(site: Site, tmp_path: Path) -> None:
    path = half_made(site, tmp_path)

    with pytest.raises(ThrumError, match="unexpected branch: it has branch feature/a, wanted was other"):
        planned(site, "a", branch="other", has_begun=True)

    assert site.record(path).is_being_made


def test_what_a_person_left_half_made_is_theirs(site: Site, tmp_path: Path) -> None:
    path = half_made(site, tmp_path)
    (path / "new.txt").write_text("theirs\n")

    assert "git worktree add is making" in refused(site, "a")
    assert (path / "new.txt").exists() and site.record(path).is_being_made


@pytest.mark.parametrize("left", ["record", "git file", "no head"])
def test_a_record_that_git_did_not_finish_writing_is_made_anew(site: Site, left: str) -> None:
    site.repo.git("branch", "feature/a")
    path, folder = site.base / "a", site.repo.path / ".git" / "worktrees" / "a"
    folder.mkdir(parents=True)
    (folder / "locked").write_text("initializing")
    (folder / "gitdir").write_text(f"{path}/.git\n")
    if left != "record":
        path.mkdir(parents=True)
        (path / ".git").write_text(f"gitdir: {folder}\n")
    if left == "no head":
        (folder / "commondir").write_text("../..\n")
        (folder / "HEAD").write_text("0" * 40 + "\n")

    tree = add(site, planned(site, "a", has_begun=True))

    assert tree.git("symbolic-ref", "--short", "HEAD") == "feature/a"
    assert tree.git("status", "--porcelain") == "" and site.record(path).lock is None


def test_a_git_that_still_runs_is_waited_for(site: Site) -> None:
    git = site.ground.git
    with git.alone() as writer:
        left = subprocess.Popen(
            ["sleep", "600"], pass_fds=(writer.descriptor,)
        )  # as of a daemon that was killed
    try:
        with pytest.raises(ThrumError, match="still at work"), git.alone(limit_s=0.2):
            raise AssertionError("somebody else still writes")
    finally:
        left.kill()
        left.wait()
    with git.alone(limit_s=PATIENCE_S):
        pass


def test_what_git_refuses_leaves_nothing_behind(site: Site) -> None:
    wanted = planned(site, "a")
    (site.repo.path / ".git" / "worktrees").write_text("in the way")

    with pytest.raises(ThrumError):
        add(site, wanted)

    assert site.repo.git("branch", "--list", "feature/a") == ""
    assert not wanted.path.exists()


def test_a_base_that_cannot_be_made_is_told(site: Site, tmp_path: Path) -> None:
    wanted = planned(site, "a")
    site.base.parent.write_text("a file\n")

    with pytest.raises(UsageError, match="cannot be made"):
        add(site, wanted)

    assert site.repo.git("branch", "--list", "feature/a") == ""
