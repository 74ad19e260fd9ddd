"""What was changed in a worktree, told of real repositories."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from thrum_kernel import git as room
from thrum_kernel.git.work import MAX_FILES

Git = Callable[..., str]


def commit(git: Git, root: Path, message: str, **files: str | None) -> str:
    for name, text in files.items():
        if text is None:
            (root / name).unlink()
        else:
            (root / name).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", message)
    return git(root, "rev-parse", "HEAD")


def test_outside_git_everything_is_empty(tmp_path: Path) -> None:
    assert room.work_state(tmp_path) == room.WorkState()
    assert room.work_state(tmp_path / "missing") == room.WorkState()


def test_before_the_first_commit_only_files_are_told(empty: Path) -> None:
    (empty / "new").write_text("x")

    state = room.work_state(empty)

    assert (state.branch, state.head, state.base) == ("main", "", "")
    assert state.uncommitted_files == ("new",)
    assert (state.unmerged_commits, state.file_changes) == ((), ())


def test_a_branch_is_compared_with_main(repository: Path, git: Git) -> None:
    git(repository, "switch", "-q", "-c", "feature")
    first = commit(git, repository, "add and change", added="1\n2\n", readme="one\nzwei\n")
    second = commit(git, repository, "remove", readme=None)

    state = room.work_state(repository)

    assert (state.branch, state.base, state.head) == ("feature", "main", second)
    assert [(entry.sha, entry.message, entry.files) for entry in state.unmerged_commits] == [
        (second, "remove", ("readme",)),
        (first, "add and change", ("added", "readme")),
    ]
    assert [(c.path, c.additions, c.deletions, c.status) for c in state.file_changes] == [
        ("added", 2, 0, "added"),
        ("readme", 0, 2, "deleted"),
    ]
    assert state.changed_files == ("added", "readme")
    assert all(change.last_modified.endswith("Z") for change in state.file_changes)
    assert state.uncommitted_files == ()


def test_commits_of_the_base_since_the_branch_are_not_ours(repository: Path, git: Git) -> None:
    git(repository, "switch", "-q", "-c", "feature")
    commit(git, repository, "ours", ours="x\n")
    git(repository, "switch", "-q", "main")
    commit(git, repository, "theirs", theirs="x\n")
    git(repository, "switch", "-q", "feature")

    state = room.work_state(repository)

    assert [entry.message for entry in state.unmerged_commits] == ["ours"]
    assert state.changed_files == ("ours",)


def test_origin_main_comes_before_local_main(repository: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(repository), "clone")
    clone = tmp_path.resolve() / "clone"
    commit(git, clone, "not pushed", mine="x\n")

    state = room.work_state(clone)

    assert (state.branch, state.base) == ("main", "origin/main")
    assert state.changed_files == ("mine",)


def test_on_main_alone_the_last_ten_commits_are_told(repository: Path, git: Git) -> None:
    assert room.work_state(repository).unmerged_commits == ()  # HEAD~10 is before the beginning

    for number in range(12):
        commit(git, repository, f"number {number}", **{f"f{number}": "x\n"})
    state = room.work_state(repository)

    assert state.base == "HEAD~10"
    assert [entry.message for entry in state.unmerged_commits] == [f"number {n}" for n in range(11, 1, -1)]


def test_a_detached_head_has_no_branch(repository: Path, git: Git) -> None:
    git(repository, "switch", "-q", "--detach")
    commit(git, repository, "loose", loose="x\n")

    state = room.work_state(repository)

    assert (state.branch, state.base) == ("", "main")
    assert state.changed_files == ("loose",)


def test_names_of_files_come_as_they_are(repository: Path, git: Git) -> None:
    git(repository, "switch", "-q", "-c", "feature")
    names = {"with space": "1\n", "line\nbreak": "1\n", "grün-東.txt": "1\n", "tab\there": "1\n"}
    commit(git, repository, "odd names", **names)
    (repository / "new file\n2").write_text("x")
    (repository / "with space").write_text("changed\n")

    state = room.work_state(repository)

    assert state.changed_files == tuple(sorted(names))
    assert set(state.unmerged_commits[0].files) == set(names)
    assert state.uncommitted_files == ("new file\n2", "with space")


def test_a_rename_names_both_files(repository: Path, git: Git) -> None:
    git(repository, "switch", "-q", "-c", "feature")
    git(repository, "mv", "readme", "read me")
    assert room.work_state(repository).uncommitted_files == ("read me", "readme")

    git(repository, "commit", "-q", "-m", "rename")

    assert room.work_state(repository).changed_files == ("read me", "readme")


def test_conflicts_staged_and_untracked_files_are_uncommitted(repository: Path, git: Git) -> None:
    git(repository, "switch", "-q", "-c", "feature")
    commit(git, repository, "ours", readme="ours\n")
    git(repository, "switch", "-q", "-c", "other", "main")
    commit(git, repository, "theirs", readme="theirs\n")
    with pytest.raises(Exception, match="exit status 1"):
        git(repository, "merge", "feature")
    (repository / "folder").mkdir()
    (repository / "folder" / "untracked").write_text("x")
    (repository / "staged").write_text("x")
    git(repository, "add", "staged")

    assert room.work_state(repository).uncommitted_files == ("folder/untracked", "readme", "staged")


def test_a_merge_commit_and_an_empty_message_are_told(repository: Path, git: Git) -> None:
    git(repository, "switch", "-q", "-c", "side")
    commit(git, repository, "on side", side="x\n")
    git(repository, "switch", "-q", "-c", "feature", "main")
    commit(git, repository, "on feature", feature="x\n")
    git(repository, "merge", "-q", "--no-ff", "-m", "join", "side")
    git(repository, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")

    commits = room.work_state(repository).unmerged_commits

    assert {(entry.message, entry.files) for entry in commits} == {
        ("", ()),
        ("join", ()),
        ("on feature", ("feature",)),
        ("on side", ("side",)),
    }


def test_a_linked_worktree_has_its_own_state(repository: Path, git: Git) -> None:
    linked = repository.parent / "linked"
    git(repository, "worktree", "add", "-q", "-b", "linked", str(linked))
    (linked / "mine").write_text("x")

    assert room.work_state(linked).uncommitted_files == ("mine",)
    assert room.work_state(linked / ".").root == linked
    assert room.work_state(repository).uncommitted_files == ()
    assert room.worktrees(repository / ".git") == [repository, linked]


def test_many_files_are_cut_and_said_so(repository: Path) -> None:
    for number in range(MAX_FILES + 1):
        (repository / f"n{number}").touch()

    state = room.work_state(repository)

    assert len(state.uncommitted_files) == MAX_FILES
    assert state.truncated


def test_a_damaged_repository_is_an_error_with_its_reason(repository: Path) -> None:
    (repository / ".git" / "index").write_bytes(b"nonsense that is no index")

    with pytest.raises(room.GitFailed, match="git status failed: "):
        room.work_state(repository)


def test_nothing_of_the_configuration_runs_and_nothing_is_written(
    repository: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    proof = tmp_path / "ran"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> "{proof}"\ncat\n')
    trap.chmod(trap.stat().st_mode | stat.S_IXUSR)
    git(repository, "switch", "-q", "-c", "feature")
    (repository / ".gitattributes").write_text("* filter=odd=name diff=drv\n")
    commit(git, repository, "change", readme="one\nzwei\n")
    for key in (
        "core.fsmonitor",
        "diff.external",
        "diff.drv.command",
        "diff.drv.textconv",
        "filter.odd=name.clean",
        "filter.odd=name.process",
        "gpg.program",
        "core.pager",
    ):
        git(repository, "config", key, str(trap))
    git(repository, "config", "filter.odd=name.required", "true")
    git(repository, "config", "log.showSignature", "true")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trap))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    os.utime(repository / "readme", (1, 1))  # makes status compare contents
    before = (repository / ".git" / "index").read_bytes()

    state = room.work_state(repository)

    assert state.changed_files == (".gitattributes", "readme")
    assert not proof.exists()
    assert (repository / ".git" / "index").read_bytes() == before


def test_the_number_of_processes_does_not_grow_with_the_commits(
    repository: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count() -> int:
        trace = tmp_path / "trace"
        trace.unlink(missing_ok=True)
        monkeypatch.setenv("GIT_TRACE2", str(trace))
        room.work_state(repository)
        monkeypatch.delenv("GIT_TRACE2")
        return sum(" version " in line for line in trace.read_text().splitlines())

    git(repository, "switch", "-q", "-c", "feature")
    commit(git, repository, "one", one="x\n")
    few = count()
    for number in range(5):
        commit(git, repository, f"number {number}", **{f"f{number}": "x\n"})

    assert count() == few == 5
