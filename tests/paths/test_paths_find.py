"""Where a command stands: find, plan and redirects, in real git repositories."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from thrum_kernel import paths
from thrum_kernel.errors import FileDamaged, NotARepository, NotInitialized, UsageError

Git = Callable[..., str]
ENV: dict[str, str] = {}


def initialize(root: Path) -> Path:
    (root / ".thrum").mkdir(parents=True, exist_ok=True)
    (root / ".thrum" / "config.json").write_text("{}\n")
    return root


def redirect(root: Path, text: str) -> Path:
    (root / ".thrum").mkdir(parents=True, exist_ok=True)
    file = root / ".thrum" / "redirect"
    file.write_text(text)
    return file


def add_worktree(git: Git, repository: Path, name: str) -> Path:
    root = repository.parent / name
    git(repository, "worktree", "add", "-q", "-b", name, str(root))
    return root


def test_find_gives_the_repository_from_any_folder_below(repository: Path) -> None:
    initialize(repository)
    deep = repository / "src" / "deep"
    deep.mkdir(parents=True)

    found = paths.find(deep, env=ENV)

    assert found.worktree == found.repo == repository
    assert found.here == found.thrum == repository / ".thrum"
    assert found.sync == repository / ".git" / "thrum-sync"
    assert not found.is_redirected


def test_find_takes_the_main_worktree_when_a_linked_one_has_nothing(repository: Path, git: Git) -> None:
    initialize(repository)
    linked = add_worktree(git, repository, "feature")

    found = paths.find(linked, env=ENV)

    assert found.worktree == linked
    assert found.here == linked / ".thrum"
    assert found.thrum == repository / ".thrum"
    assert found.sync == repository / ".git" / "thrum-sync"
    assert found.identities == linked / ".thrum" / "identities"


def test_find_follows_relative_gitdir_files(repository: Path, git: Git) -> None:
    initialize(repository)
    linked = add_worktree(git, repository, "feature")
    (linked / ".git").write_text("gitdir: ../project/.git/worktrees/feature\n")

    assert paths.find(linked, env=ENV).thrum == repository / ".thrum"


def test_find_follows_a_redirect_to_another_project(repository: Path, tmp_path: Path) -> None:
    other = initialize(tmp_path.resolve() / "other")
    redirect(repository, f"  {other}/.thrum\n")

    found = paths.find(repository, env=ENV)

    assert (found.worktree, found.repo) == (repository, other)
    assert found.sync == other / ".thrum" / "thrum-sync"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("../other/.thrum", "not an absolute path"),
        ("/nowhere/.thrum", "does not exist"),
        ("/etc", "is no .thrum folder"),
    ],
)
def test_find_names_what_is_wrong_with_a_redirect(repository: Path, text: str, reason: str) -> None:
    file = redirect(repository, text)

    with pytest.raises(FileDamaged, match=reason) as caught:
        paths.find(repository, env=ENV)

    assert caught.value.path == str(file)
    assert "rm " in caught.value.hint


def test_find_refuses_a_redirect_to_a_file_itself_or_another_redirect(
    repository: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    redirect(first, f"{initialize(tmp_path / 'second')}/.thrum")
    redirect(repository, f"{first}/.thrum")
    with pytest.raises(FileDamaged, match="itself redirected"):
        paths.find(repository, env=ENV)

    redirect(repository, f"{repository}/.thrum")
    with pytest.raises(FileDamaged, match="leads to itself"):
        paths.find(repository, env=ENV)

    (tmp_path / "third").mkdir()
    (tmp_path / "third" / ".thrum").write_text("")
    redirect(repository, f"{tmp_path}/third/.thrum")
    with pytest.raises(FileDamaged, match="not a folder"):
        paths.find(repository, env=ENV)


def test_find_never_climbs_above_the_worktree(repository: Path) -> None:
    initialize(repository.parent)

    with pytest.raises(NotInitialized) as caught:
        paths.find(repository, env=ENV)

    assert caught.value.path == str(repository)


def test_find_never_takes_the_folder_of_the_home(tmp_path: Path) -> None:
    home = initialize(tmp_path.resolve() / "home")
    inside = home / "notes"
    inside.mkdir()

    with pytest.raises(NotInitialized):
        paths.find(inside, env={"HOME": str(home)})
    assert paths.find(inside, env=ENV).repo == home  # the rule is about the home folder only


def test_find_takes_thrum_home_last_and_repo_first(repository: Path, tmp_path: Path) -> None:
    pinned = initialize(tmp_path.resolve() / "pinned")
    outside = tmp_path.resolve() / "outside"
    outside.mkdir()
    env = {"THRUM_HOME": str(pinned)}

    assert paths.find(outside, env=env).repo == pinned
    initialize(repository)
    assert paths.find(repository, env=env).repo == repository
    assert paths.find(outside, repo=repository, env=env).repo == repository
    with pytest.raises(NotInitialized):
        paths.find(repository, repo=outside, env=env)


def test_find_refuses_a_repo_that_is_no_folder(repository: Path) -> None:
    with pytest.raises(UsageError, match=r"--repo .*missing is not a folder"):
        paths.find(repository, repo="missing", env=ENV)


def test_find_replaces_the_socket_by_thrum_socket(repository: Path) -> None:
    initialize(repository)

    assert paths.find(repository, env=ENV).socket == repository / ".thrum" / "var" / "thrum.sock"
    assert paths.find(repository, env={"THRUM_SOCKET": "/run/t.sock"}).socket == Path("/run/t.sock")


def test_find_survives_git_clean(repository: Path, git: Git) -> None:
    initialize(repository)
    linked = add_worktree(git, repository, "feature")
    redirect(linked, f"{repository}/.thrum")
    sync = repository / ".git" / "thrum-sync"
    sync.mkdir()
    (sync / "daemon.json").write_text("{}")
    shutil.rmtree(repository / ".thrum")

    assert paths.find(repository, env=ENV).thrum == repository / ".thrum"
    assert paths.find(linked, env=ENV).thrum == repository / ".thrum"
    shutil.rmtree(linked / ".thrum")
    assert paths.find(linked, env=ENV).here == linked / ".thrum"


def test_find_resolves_symbolic_links(repository: Path, tmp_path: Path) -> None:
    initialize(repository)
    (repository / "src").mkdir()
    link = tmp_path / "link"
    link.symlink_to(repository / "src")

    assert paths.find(link, env=ENV).worktree == repository


def test_find_stops_at_a_submodule(repository: Path, git: Git, tmp_path: Path) -> None:
    library = tmp_path.resolve() / "library"
    library.mkdir()
    git(library, "init", "-q")
    git(library, "commit", "-q", "--allow-empty", "-m", "first")
    git(repository, "submodule", "--quiet", "add", str(library), "lib")
    initialize(repository)

    with pytest.raises(NotInitialized) as caught:
        paths.find(repository / "lib", env=ENV)

    assert caught.value.path == str(repository / "lib")
    assert paths.plan(repository / "lib", env=ENV).sync == repository / ".git/modules/lib/thrum-sync"


def test_find_in_our_own_repository_gives_the_users(repository: Path, git: Git) -> None:
    initialize(repository)
    sync = repository / ".git" / "thrum-sync"
    (sync / "a-sync").mkdir(parents=True)
    git(sync, "init", "-q", "--bare", "repo.git")
    (sync / "a-sync" / ".git").write_text("gitdir: ../repo.git\n")

    assert paths.find(sync / "a-sync", env=ENV).repo == repository


def test_find_in_a_bare_repository_takes_the_worktree_initialised_first(tmp_path: Path, git: Git) -> None:
    top = tmp_path.resolve() / "bare"
    top.mkdir()
    git(top, "init", "-q", "--bare", ".bare")
    (top / ".git").write_text("gitdir: ./.bare\n")
    seed = tmp_path / "seed"
    git(tmp_path, "init", "-q", "-b", "main", "seed")
    git(seed, "commit", "-q", "--allow-empty", "-m", "first")
    git(seed, "push", "-q", str(top / ".bare"), "main")
    for name in ("a", "b"):
        git(top, "worktree", "add", "-q", "-b", name, str(top / name), "main")

    with pytest.raises(NotInitialized):
        paths.find(top / "a", env=ENV)
    with pytest.raises(NotARepository) as caught:
        paths.plan(top, env=ENV)
    assert caught.value.bare
    assert paths.plan(top / "b", env=ENV).repo == top / "b"

    initialize(top / "b")
    assert paths.find(top / "a", env=ENV).repo == top / "b"
    assert paths.find(top / "a", env=ENV).sync == top / ".bare" / "thrum-sync"
    assert paths.find(top, env=ENV).worktree == top / "b"
    assert paths.plan(top / "a", env=ENV).repo == top / "b"


def test_find_tells_a_git_file_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere/.git/worktrees/x\n")

    with pytest.raises(FileDamaged, match="not a git folder") as caught:
        paths.find(tmp_path, env=ENV)

    assert "git worktree repair" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_find_tells_a_folder_it_may_not_read(repository: Path) -> None:
    initialize(repository)
    (repository / ".thrum").chmod(0)
    try:
        with pytest.raises(FileDamaged, match="cannot be read"):
            paths.find(repository, env=ENV)
    finally:
        (repository / ".thrum").chmod(0o755)


def test_plan_needs_git_unless_forced(tmp_path: Path) -> None:
    with pytest.raises(NotARepository):
        paths.plan(tmp_path, env=ENV)

    planned = paths.plan(tmp_path, env=ENV, without_git=True)

    assert planned.worktree == tmp_path.resolve()
    assert planned.sync == tmp_path.resolve() / ".thrum" / "thrum-sync"


def test_plan_keeps_the_log_where_it_is_when_a_folder_becomes_a_repository(tmp_path: Path, git: Git) -> None:
    root = initialize(tmp_path.resolve() / "plain")
    sync = paths.find(root, env=ENV).sync
    sync.mkdir()
    (sync / "daemon.json").write_text("{}")

    git(root, "init", "-q")

    assert paths.find(root, env=ENV).sync == sync


def test_plan_in_a_linked_worktree_shares_the_main_one(repository: Path, git: Git) -> None:
    linked = add_worktree(git, repository, "feature")

    planned = paths.plan(linked, env={"THRUM_HOME": "/nowhere"})

    assert planned.is_redirected
    assert planned.thrum == repository / ".thrum"
    assert not planned.is_initialized


def test_plan_in_a_subfolder_initialises_the_root(repository: Path) -> None:
    (repository / "src").mkdir()

    assert paths.plan(repository / "src", env=ENV).here == repository / ".thrum"


def test_plan_refuses_a_path_that_no_file_could_tell(tmp_path: Path, git: Git) -> None:
    odd = tmp_path.resolve() / "od\udcffd"
    odd.mkdir()
    git(odd, "init", "-q")

    with pytest.raises(UsageError, match=r"od\\xffd is not valid UTF-8"):
        paths.plan(odd, env=ENV)


def test_plan_refuses_the_home_folder(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "-q")

    with pytest.raises(UsageError, match="home folder"):
        paths.plan(tmp_path, env={"HOME": str(tmp_path)})


def test_write_redirect_is_followed_by_find_and_idempotent(repository: Path, git: Git) -> None:
    initialize(repository)
    linked = add_worktree(git, repository, "feature")
    planned = paths.plan(linked, env=ENV)

    assert paths.write_redirect(planned)
    assert not paths.write_redirect(planned)

    assert (linked / ".thrum" / "redirect").read_text() == f"{repository}/.thrum\n"
    assert (linked / ".thrum" / "identities").is_dir()
    assert paths.find(linked, env=ENV) == planned


def test_write_redirect_keeps_a_configuration_of_its_own(repository: Path, git: Git) -> None:
    initialize(repository)
    linked = add_worktree(git, repository, "feature")
    planned = paths.plan(linked, env=ENV)
    initialize(linked)

    with pytest.raises(UsageError, match="configuration of its own"):
        paths.write_redirect(planned)
    with pytest.raises(UsageError, match="itself"):
        paths.write_redirect(paths.find(repository, env=ENV))
    assert not (linked / ".thrum" / "redirect").exists()
    assert paths.plan(linked, env=ENV).thrum == linked / ".thrum"
