"""What counts as work: each state of a worktree, made with real git, and what would be lost with it."""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from thrum_worktrees import removing, work
from worktrees_ground import Site, commit

from thrum_kernel.errors import GitFailed, Refused
from thrum_kernel.testing.harness import Failed, Repo

NOBODY = 65534


def lost(site: Site, tree: Repo, *, branch_goes: bool = False) -> dict[str, tuple[str, ...]]:
    """Kinds of what would be lost, with the items."""
    found = work.losses(
        site.ground.git,
        site.record(tree.path),
        tree.path,
        is_ours=lambda path: path.startswith(".thrum/"),
        branch_goes=branch_goes,
    )
    return {each.kind: each.items for each in found}


def modified(tree: Repo) -> None:
    (tree.path / "README.md").write_text("other\n")


def staged(tree: Repo) -> None:
    modified(tree)
    tree.git("add", "README.md")


def deleted(tree: Repo) -> None:
    (tree.path / "README.md").unlink()


def made_executable(tree: Repo) -> None:
    (tree.path / "README.md").chmod(0o755)


def untracked(tree: Repo) -> None:
    (tree.path / "deep").mkdir()
    (tree.path / "deep" / "new file ä\n.txt").write_text("new\n")


def untracked_though_git_shows_none(tree: Repo) -> None:
    tree.git("config", "status.showUntrackedFiles", "no")
    untracked(tree)


def another_repository(tree: Repo) -> None:
    Repo.make(tree.path / "nested", tree.env)


def assumed_unchanged(tree: Repo) -> None:
    tree.git("update-index", "--assume-unchanged", "README.md")
    modified(tree)


def skipped(tree: Repo) -> None:
    tree.git("update-index", "--skip-worktree", "README.md")
    modified(tree)


def merging(tree: Repo) -> None:
    commit(tree, "README.md", "mine\n")
    tree.git("checkout", "-q", "-b", "theirs", "HEAD~1")
    commit(tree, "README.md", "theirs\n")
    with pytest.raises(Failed):
        tree.git("merge", "feature/a")
    tree.git("checkout", "--theirs", "README.md")


def rebasing(tree: Repo) -> None:
    commit(tree, "one")
    tree.git("-c", "sequence.editor=sed -i -e s/^pick/edit/", "rebase", "-q", "-i", "HEAD~1")


def bisecting(tree: Repo) -> None:
    tree.git("bisect", "start")


def detached(tree: Repo) -> None:
    tree.git("checkout", "-q", "--detach")
    commit(tree, "one")


def own_reference(tree: Repo) -> None:
    commit(tree, "one")
    tree.git("update-ref", "refs/worktree/kept", "HEAD")
    tree.git("reset", "-q", "--hard", "HEAD~1")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (modified, {"changed": ("README.md",)}),
        (staged, {"changed": ("README.md",)}),
        (deleted, {"changed": ("README.md",)}),
        (made_executable, {"changed": ("README.md",)}),
        (untracked, {"untracked": ("deep/new file ä\n.txt",)}),
        (untracked_though_git_shows_none, {"untracked": ("deep/new file ä\n.txt",)}),
        (another_repository, {"untracked": ("nested/",)}),
        (assumed_unchanged, {"hidden": ("README.md",)}),
        (skipped, {"hidden": ("README.md",)}),
        (merging, {"changed", "operation"}),
        (rebasing, {"operation"}),
        (bisecting, {"operation"}),
        (detached, {"commits"}),
        (own_reference, {"commits"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_nowhere_else_is_found(site: Site, make: Callable[[Repo], None], expected: object) -> None:
    tree = site.worktree("a")
    assert lost(site, tree) == {}

    make(tree)

    found = lost(site, tree)
    assert (found if isinstance(expected, dict) else set(found)) == expected


def test_what_git_ignores_and_what_thrum_put_there_is_no_work(site: Site) -> None:
    commit(site.repo, ".gitignore", "build/\n")
    tree = site.worktree("a")
    (tree.path / "build").mkdir()
    (tree.path / "build" / "out").write_text("made\n")
    (tree.path / ".thrum").mkdir()
    (tree.path / ".thrum" / "redirect").write_text("x\n")

    assert lost(site, tree) == {}


def test_a_stash_is_the_repositorys_and_stays(site: Site) -> None:
    tree = site.worktree("a")
    modified(tree)
    tree.git("stash", "-q")

    assert lost(site, tree, branch_goes=True) == {}
    site.repo.git("worktree", "remove", str(tree.path))
    assert "other" in site.repo.git("stash", "show", "-p")


def test_commits_on_the_branch_are_lost_only_with_it(site: Site) -> None:
    tree = site.worktree("a")
    one = commit(tree, "one")

    assert lost(site, tree) == {}
    found = lost(site, tree, branch_goes=True)
    assert list(found) == ["branch"] and one.startswith(found["branch"][0].split()[0])

    site.repo.git("branch", "elsewhere", one)
    assert lost(site, tree, branch_goes=True) == {}
    site.repo.git("branch", "-q", "-D", "elsewhere")
    site.repo.git("update-ref", "refs/remotes/origin/feature/a", one)
    assert lost(site, tree, branch_goes=True) == {}, "what was pushed is safe"
    site.repo.git("update-ref", "-d", "refs/remotes/origin/feature/a")
    site.repo.git("tag", "kept", one)
    assert lost(site, tree, branch_goes=True) == {}


def test_a_branch_named_like_a_tag_is_told_apart(site: Site) -> None:
    site.repo.git("tag", "feature/a")
    tree = site.worktree("a")
    commit(tree, "one")

    assert set(lost(site, tree, branch_goes=True)) == {"branch"}


def test_a_detached_commit_that_a_branch_has_is_safe(site: Site) -> None:
    tree = site.worktree("a")
    detached(tree)
    assert set(lost(site, tree)) == {"commits"}

    tree.git("branch", "rescued")

    assert lost(site, tree) == {}


def test_commits_of_a_submodule_that_are_nowhere_else_are_found(site: Site, tmp_path: Path) -> None:
    library = Repo.make(tmp_path / "library", site.repo.env)
    local = ("-c", "protocol.file.allow=always")
    site.repo.git(*local, "submodule", "--quiet", "add", str(library.path), "lib")
    site.repo.git("commit", "-q", "-m", "library")
    tree = site.worktree("a")
    tree.git(*local, "submodule", "--quiet", "update", "--init")
    assert lost(site, tree) == {}
    inner = Repo(tree.path / "lib", tree.main, tree.env)
    inner.git("checkout", "-q", "-b", "mine")
    inner.git("config", "user.name", "Test")
    inner.git("config", "user.email", "test@example.org")

    (inner.path / "draft").write_text("x\n")
    assert lost(site, tree) == {"changed": ("lib",)}
    commit(inner, "draft")
    tree.git("commit", "-qam", "move the library")

    assert set(lost(site, tree)) == {"submodule"}


def test_a_worktree_whose_git_file_is_gone_is_looked_at_all_the_same(site: Site) -> None:
    tree = site.worktree("a")
    modified(tree)
    (tree.path / ".git").unlink()

    assert lost(site, tree) == {"changed": ("README.md",)}


def test_when_git_cannot_tell_nothing_may_go(site: Site) -> None:
    tree = site.worktree("a")
    (site.record(tree.path).folder / "index").write_bytes(b"damaged")

    with pytest.raises(GitFailed):
        lost(site, tree)


def test_a_name_that_is_no_utf8_can_be_told(site: Site) -> None:
    tree = site.worktree("a")
    (tree.path / os.fsdecode(b"\xff.txt")).write_text("x\n")

    assert lost(site, tree) == {"untracked": ("\ufffd.txt",)}


def test_a_disk_that_is_not_there_is_no_deleted_folder(site: Site) -> None:
    tree = site.worktree("a")
    shutil.rmtree(tree.path)
    assert lost(site, tree) == {}, "somebody deleted it"

    site.base.rmdir()

    assert set(lost(site, tree)) == {"missing"}


def test_what_is_written_while_it_goes_brings_it_back(site: Site) -> None:
    tree = site.worktree("a")
    record = site.record(tree.path)

    def look_again(aside: Path) -> list[work.Loss]:
        (aside / "late.txt").write_text("late\n")
        return work.losses(site.ground.git, record, aside, is_ours=lambda path: False, branch_goes=False)

    with pytest.raises(Refused, match=r"meanwhile: 1 new file \(late.txt\)"):
        removing.set_aside(record, look_again, force=False)

    assert (tree.path / "late.txt").read_text() == "late\n"
    assert not removing.aside_of(tree.path).exists()
    assert tree.git("status", "--porcelain") == "?? late.txt"


@pytest.fixture
def ordinary() -> Iterator[Path]:
    """A folder of somebody who may not do everything: what the tests run as, or nobody where that is root."""
    folder = Path(tempfile.mkdtemp(prefix="thrum-worktrees-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


def as_ordinary(work: Callable[[], object]) -> None:
    """Do *work* as that somebody, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - told by the status
            traceback.print_exc()
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_deleting_follows_no_link_and_copes_with_folders_that_may_not_be_written(ordinary: Path) -> None:
    outside, aside = ordinary / "outside", ordinary / ".a.going"

    def work() -> None:
        locked = aside / "cache" / "locked"
        locked.mkdir(parents=True)
        outside.mkdir()
        (outside / "kept").write_text("kept\n")
        (locked / "file").write_text("x\n")
        (aside / "link").symlink_to(outside)
        for folder in (locked, aside / "cache", aside, ordinary, outside):
            folder.chmod(0o500 if folder != ordinary else 0o700)
        assert removing.delete(aside) == ""
        assert removing.delete(aside) == ""

    as_ordinary(work)

    assert not aside.exists()
    assert (outside / "kept").read_text() == "kept\n"
    assert outside.stat().st_mode & 0o777 == 0o500


def test_what_cannot_be_deleted_is_named(ordinary: Path) -> None:
    aside = ordinary / "base" / ".a.going"

    def work() -> None:
        aside.mkdir(parents=True)
        (aside / "file").write_text("x\n")
        (ordinary / "base").chmod(0o500)
        left = removing.delete(aside)
        assert left == f"{aside}: Permission denied (1 such)", left

    as_ordinary(work)

    assert aside.exists() and not (aside / "file").exists()
    assert (ordinary / "base").stat().st_mode & 0o777 == 0o500, "what is not ours keeps its mode"


def test_another_worktree_inside_keeps_it(site: Site) -> None:
    tree = site.worktree("a")
    inner = tree.path / ".claude" / "worktrees" / "inner"
    site.repo.git("worktree", "add", "-q", "--detach", str(inner))

    with pytest.raises(Refused, match="another worktree lies in"):
        work.check_alone(site.ground.git, site.record(tree.path))

    shutil.rmtree(inner)
    site.repo.git("worktree", "prune")
    work.check_alone(site.ground.git, site.record(tree.path))


def test_what_was_added_is_work_also_when_the_folder_is_gone(site: Site) -> None:
    tree = site.worktree("a")
    staged(tree)
    shutil.rmtree(tree.path)

    assert lost(site, tree) == {"staged": ("README.md",)}
