"""Whatever was done in a worktree: when nothing would be lost, everything is still there after it is gone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from thrum_worktrees import branches, removing, work
from thrum_worktrees.records import head_of
from worktrees_ground import Site, commit

from thrum_kernel.testing.harness import Failed, Repo

EXAMPLES = 200 if os.environ.get("THRUM_SOAK") == "1" else 20
numbers = count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One repository for all examples: each has a worktree and a branch of its own."""
    site = Site.of(Repo.housed(tmp_path_factory.mktemp("property")))
    commit(site.repo, ".gitignore", "ignored*\n")
    return site


def fresh() -> str:
    return f"text {next(numbers)}\n"


def write(name: str) -> Callable[[Repo], None]:
    def op(tree: Repo) -> None:
        (tree.path / name).write_text(fresh())

    return op


def git(*words: str) -> Callable[[Repo], None]:
    def op(tree: Repo) -> None:
        tree.git(*(word.format(n=next(numbers)) for word in words))

    return op


OPS: dict[str, Callable[[Repo], None]] = {
    "edit": write("README.md"),
    "new": write("new.txt"),
    "ignored": write("ignored.txt"),
    "remove": lambda tree: (tree.path / "README.md").unlink(),
    "add": git("add", "-A"),
    "commit": git("commit", "-q", "-a", "-m", "work {n}"),
    "amend": git("commit", "-q", "-a", "--amend", "--allow-empty", "-m", "again {n}"),
    "detach": git("checkout", "-q", "--detach"),
    "elsewhere": git("branch", "side-{n}"),
    "tag": git("tag", "t-{n}"),
    "switch": git("checkout", "-q", "-b", "other-{n}"),
    "stash": git("stash", "-q"),
    "hide": git("update-index", "--assume-unchanged", "README.md"),
    "skip": git("update-index", "--skip-worktree", "README.md"),
    "reset": git("reset", "-q", "--hard"),
    "back": git("reset", "-q", "--soft", "HEAD~1"),
    "own": git("update-ref", "refs/worktree/mine-{n}", "HEAD"),
    "merge": git("merge", "-q", "--no-commit", "--no-ff", "main"),
}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(sorted(OPS)), max_size=10), st.booleans())
@example(["new"], False)
@example(["new", "add", "commit"], True)
@example(["new", "add", "commit", "elsewhere"], True)
@example(["detach", "new", "add", "commit", "tag"], False)
@example(["hide", "edit"], False)
def test_what_goes_without_a_loss_is_all_there_afterwards(
    shared: Site, ops: list[str], branch_goes: bool
) -> None:
    name = f"tree{next(numbers)}"
    tree = shared.worktree(name)
    for op in ops:
        with contextlib.suppress(Failed, OSError):  # e.g. nothing to commit
            OPS[op](tree)
    blobs = set(hashes(tree))
    record = shared.record(tree.path)
    head = head_of(shared.ground.git, record.folder)

    def losses(place: Path) -> list[work.Loss]:
        return work.losses(
            shared.ground.git, record, place, is_ours=lambda path: False, branch_goes=branch_goes
        )

    if losses(tree.path):
        assert set(hashes(tree)) == blobs, "who only looks changes nothing"
        shared.repo.git("worktree", "remove", "--force", "--force", str(tree.path))
        return
    removing.set_aside(record, losses, force=False)
    with shared.ground.git.alone() as writer:
        removing.drop_record(writer, tree.path)
        if branch_goes and head.branch:
            branches.delete_branch(writer, head.branch, tip=head.commit)
    assert removing.delete(removing.aside_of(tree.path)) == ""

    reachable = shared.repo.git("rev-list", "--objects", "--branches", "--tags").split()
    assert blobs <= set(reachable), f"{ops}: contents of files are gone"
    assert head.commit in reachable, f"{ops}: the commit is gone"


def hashes(tree: Repo) -> Iterator[str]:
    """What every file holds that git does not ignore, as git names it."""
    for path in sorted(tree.path.rglob("*")):
        if path.is_file() and path.name != ".git" and not path.name.startswith("ignored"):
            yield tree.git("hash-object", "-w", str(path))
