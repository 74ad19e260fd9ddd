"""Small questions to real repositories."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thrum_kernel import git as room
from thrum_kernel.git import process

Git = Callable[..., str]


def test_discover_tells_the_place_from_a_subfolder(repository: Path, git: Git) -> None:
    (repository / "deep" / "er").mkdir(parents=True)
    linked = repository.parent / "linked"
    git(repository, "worktree", "add", "-q", "-b", "linked", str(linked))

    place = room.discover(repository / "deep" / "er")
    other = room.discover(linked)

    assert place == room.Place(repository, repository / ".git", repository / ".git", False, repository)
    assert other == room.Place(
        linked, repository / ".git" / "worktrees" / "linked", repository / ".git", False, repository
    )
    assert other.is_linked


def test_discover_agrees_with_git(repository: Path, git: Git, tmp_path: Path) -> None:
    separate = tmp_path.resolve() / "separate"
    git(tmp_path, "init", "-q", "--separate-git-dir", str(tmp_path / "elsewhere"), str(separate))
    git(separate, "commit", "-q", "--allow-empty", "-m", "x")
    git(separate, "worktree", "add", "-q", str(tmp_path / "of-separate"))

    for folder in (repository, separate, tmp_path.resolve() / "of-separate"):
        place = room.discover(folder)
        assert place is not None
        assert str(place.root) == git(folder, "rev-parse", "--show-toplevel")
        assert str(place.git_dir) == git(folder, "rev-parse", "--absolute-git-dir")
        common = git(folder, "rev-parse", "--path-format=absolute", "--git-common-dir")
        assert str(place.common_dir) == common


def test_discover_finds_nothing_outside_git_and_a_bare_repository(tmp_path: Path, git: Git) -> None:
    assert room.discover(tmp_path) is None
    assert room.discover(tmp_path / "missing") is None
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    bare = tmp_path.resolve() / "bare.git"

    place = room.discover(bare / "objects")

    assert place == room.Place(bare, bare, bare, True, None)
    assert room.work_state(bare) == room.WorkState()


def test_branch_and_head_tell_what_is_checked_out(empty: Path, git: Git, tmp_path: Path) -> None:
    assert (room.branch(empty), room.head(empty)) == ("main", "")
    git(empty, "commit", "-q", "--allow-empty", "-m", "x")
    git(empty, "switch", "-q", "-c", "team/grün")
    assert room.branch(empty) == "team/grün"
    assert room.head(empty) == git(empty, "rev-parse", "HEAD")
    git(empty, "switch", "-q", "--detach")
    assert room.branch(empty) == ""
    assert (room.branch(tmp_path), room.head(tmp_path)) == ("", "")


def test_origin_url_and_user_come_from_the_configuration(repository: Path, git: Git, tmp_path: Path) -> None:
    assert room.origin_url(repository) == ""
    git(repository, "remote", "add", "origin", "git@example.org:team/project.git")
    git(repository, "config", "user.name", "Ada Ö")
    git(repository, "config", "user.email", "ada@example.org")

    assert room.origin_url(repository) == "git@example.org:team/project.git"
    assert room.user(repository) == room.User("Ada Ö", "ada@example.org")
    assert room.origin_url(tmp_path) == ""
    assert room.user(tmp_path) == room.User()


def test_a_configuration_that_cannot_be_read_is_an_error(repository: Path) -> None:
    (repository / ".git" / "config").write_text("[broken\n")

    with pytest.raises(room.GitFailed, match=r"git config failed: .*config"):
        room.origin_url(repository)


def test_a_missing_git_is_told_with_a_remedy(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    room.head(repository)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(room.GitFailed, match="not installed") as caught:
        room.head(repository)

    assert "install git" in caught.value.hint


def test_a_missing_git_is_told_by_the_first_question_too(repository: Path, tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from thrum_kernel import git\n"
        "try: git.head(pathlib.Path(sys.argv[1]))\n"
        "except git.GitFailed as error: print(error)"
    )
    root = str(Path(room.__file__).parents[2])
    environment = {"PATH": str(tmp_path), "PYTHONPATH": root}

    done = subprocess.run(
        [sys.executable, "-c", script, str(repository)], env=environment, capture_output=True, text=True
    )

    assert done.stdout == "git rev-parse failed: git is not installed or not on PATH\n"


def test_a_git_that_hangs_is_ended(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = room.discover(repository)
    assert place is not None
    room.head(repository)
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "git").write_text(f"#!{shutil.which('sh')}\nexec {shutil.which('sleep')} 60\n")
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}:/usr/bin:/bin")

    answer = process.run(place, "status", timeout_s=0.2)

    assert not answer.ok
    assert "no answer" in str(process.failed("status", answer))
