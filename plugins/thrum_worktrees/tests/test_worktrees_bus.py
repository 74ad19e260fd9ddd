"""The methods, in a kernel of this process: who may live where, what is kept, and worktrees for one job."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from thrum_worktrees import removing
from worktrees_ground import commit

from thrum_kernel.api import Caller
from thrum_kernel.errors import AnonymousCaller, InvalidName, NotFound, Refused, ThrumError, UsageError
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.kernel import Kernel

ADA = {"agent": "ada", "role": "tester", "module": "auth"}


@pytest.fixture(autouse=True)
def ours(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel in this process looks around in this process's environment."""
    for name in ("HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"):
        monkeypatch.setenv(name, repo.env[name])
    commit(repo, ".gitignore", ".thrum/\n")


@pytest.fixture
def base(repo: Repo) -> Path:
    return Path(repo.env["HOME"]) / ".thrum" / "worktrees" / "project"


def refused(kernel: Kernel, method: str, **params: Any) -> str:
    with pytest.raises(ThrumError) as caught:
        kernel.call(method, **params)
    return str(caught.value)


def names(kernel: Kernel) -> list[str]:
    return sorted(m["agent_id"] for m in kernel.call("team.list", include_offline=True)["members"])


def row(kernel: Kernel, path: Path) -> dict[str, Any]:
    (found,) = [each for each in kernel.call("worktrees.list") if each["path"] == str(path)]
    return dict(found)


def test_one_agent_lives_in_a_worktree(kernel: Kernel, base: Path) -> None:
    kernel.call("worktrees.create", name="a", **ADA)

    said = refused(kernel, "worktrees.create", name="a", agent="bob", role="tester", module="auth")

    assert f"{base / 'a'} is the worktree of @ada, which lives in it" in said
    assert names(kernel) == ["ada"]
    (base / "a" / ".thrum" / "context" / "ada_session.md").write_text("where I was\n")
    taken = kernel.call("worktrees.create", name="a", agent="bob", role="tester", module="auth", force=True)
    assert taken["notes"] == ["@ada has no worktree now"] and row(kernel, base / "a")["agent"] == "bob"
    assert [each.name for each in (base / "a" / ".thrum" / "identities").glob("*.json")] == ["bob.json"]
    kernel.call("worktrees.create", name="a", **ADA, force=True)
    assert (base / "a" / ".thrum" / "context" / "ada_session.md").read_text() == "where I was\n"
    assert (names(kernel), row(kernel, base / "a")["agent"]) == (["ada", "bob"], "ada")
    said = refused(kernel, "worktrees.create", name="b", **ADA)
    assert f'agent "ada" is already registered in a different worktree ({base / "a"})' in said
    assert not (base / "b").exists() and kernel.repo.git("branch", "--list", "feature/b") == ""
    kernel.call("worktrees.create", name="b", **ADA, force=True)
    assert (row(kernel, base / "b")["agent"], "agent" in row(kernel, base / "a")) == ("ada", False)


def test_identity_files_of_strangers_are_set_aside_when_an_agent_moves_in(kernel: Kernel, base: Path) -> None:
    kernel.call("worktrees.create", name="a")
    folder = base / "a" / ".thrum" / "identities"
    (folder / "ghost.json").write_text('{"version": 5, "agent": {"name": "ghost"}}')

    kernel.call("worktrees.create", name="a", **ADA)

    assert [each.name for each in folder.glob("*.json")] == ["ada.json"]
    (aside,) = (folder / ".quarantine").iterdir()
    assert re.fullmatch(r"ghost\.json\.\d{8}T\d{6}Z", aside.name)


def test_what_an_agent_cannot_be_leaves_no_worktree(kernel: Kernel, base: Path) -> None:
    kernel.agent("bob")
    for wrong, said in (
        ({"agent": "Not A Name", "role": "tester", "module": "auth"}, "invalid"),
        ({"agent": "everyone", "role": "tester", "module": "auth"}, "everyone"),
        ({"agent": "ada", "role": "tester"}, "--module missing"),
        ({"role": "tester"}, "--name and --module missing"),
        ({"intent": "x"}, "--intent is an agent's"),
        ({**ADA, "runtime": "a b"}, 'invalid runtime name "a b"'),
    ):
        assert said in refused(kernel, "worktrees.create", name="a", **wrong)
        assert not (base / "a").exists() and kernel.repo.git("branch", "--list", "feature/a") == ""
        assert names(kernel) == ["bob"]
        assert kernel.context("worktrees").read("SELECT * FROM worktrees_undertakings", local=True) == []


def test_an_agent_that_is_kept_takes_what_it_saved_along(kernel: Kernel, base: Path) -> None:
    kernel.call("worktrees.create", name="a", **ADA)
    saved = base / "a" / ".thrum" / "context" / "ada_session.md"
    saved.write_text("where I was\n")

    gone = kernel.call("worktrees.destroy", name="a", keep_agent=True)

    assert gone["removed_identities"] == ["ada"] and "is kept in" in gone["notes"][0]
    assert names(kernel) == ["ada"] and not (base / "a").exists()
    kept = kernel.repo.path / ".thrum" / "context" / "ada_session.md"
    assert kept.read_text() == "where I was\n"
    kernel.call("worktrees.create", name="b", **ADA)
    assert (base / "b" / ".thrum" / "context" / "ada_session.md").read_text() == "where I was\n"
    assert not kept.exists()


def test_a_place_that_another_agent_had_belongs_to_the_new_one_alone(kernel: Kernel, base: Path) -> None:
    kernel.call("worktrees.create", name="a", **ADA)
    kernel.call("worktrees.destroy", name="a", keep_agent=True)

    kernel.call("worktrees.create", name="a", agent="bob", role="tester", module="auth")
    kernel.run(kernel.daemon.agents.reconcile())  # as the next start does

    assert row(kernel, base / "a")["agent"] == "bob"
    assert [each.name for each in (base / "a" / ".thrum" / "identities").glob("*.json")] == ["bob.json"]


def test_a_worktree_for_one_job(kernel: Kernel, base: Path) -> None:
    made = kernel.call("worktrees.create", agent="ada", job="42")

    assert re.fullmatch(r"ada-42-\d{8}t\d{6}z", made["name"])
    assert made["branch"] == f"agent/ada/job-{made['name'].removeprefix('ada-')}"
    assert Path(made["worktree_path"]) == base / made["name"]
    assert names(kernel) == []
    commit(Repo(base / made["name"], kernel.repo.path, kernel.repo.env), "result")
    assert "1 commit that only branch" in refused(
        kernel, "worktrees.destroy", name=made["name"], delete_branch=True
    )
    gone = kernel.call("worktrees.destroy", name=made["name"], delete_branch=True, force=True)
    assert gone["deleted_branch"] == made["branch"]
    assert [each["kind"] for each in gone["thrown_away"]] == ["branch"]
    with pytest.raises(InvalidName):
        kernel.call("worktrees.create", agent="ada", job="4/2")
    with pytest.raises(UsageError):
        kernel.call("worktrees.create", job="42")


def test_what_stays_whatever_is_asked(kernel: Kernel, base: Path) -> None:
    path = Path(kernel.call("worktrees.create", name="a")["worktree_path"])
    kernel.repo.git("worktree", "lock", str(path), "--reason", "on loan")
    for force in (False, True):
        assert "is locked (on loan)" in refused(kernel, "worktrees.destroy", name="a", force=force)
    kernel.repo.git("worktree", "unlock", str(path))
    inside = Caller(kind="anonymous", worktree=path, cwd=path / ".thrum")
    with pytest.raises(Refused, match="you stand in"):
        kernel.call("worktrees.destroy", name="a", caller=inside)
    with pytest.raises(NotFound, match="worktree not found: project"):
        kernel.call("worktrees.destroy", name="project")
    with pytest.raises(NotFound, match="worktree not found: nothing"):
        kernel.call("worktrees.destroy", name="nothing")
    with pytest.raises(InvalidName, match="must not contain"):
        kernel.call("worktrees.destroy", name="../project")
    other = kernel.repo.worktree("other", branch="shared")
    other.git("checkout", "-q", "--detach")
    other.git("worktree", "add", "-q", "--force", str(base / "b"), "shared")
    other.git("checkout", "-q", "--ignore-other-worktrees", "shared")
    assert "is checked out at" in refused(kernel, "worktrees.destroy", name="b", delete_branch=True)
    kernel.call("worktrees.destroy", name="b")
    kernel.call("worktrees.destroy", name="a")


def test_somebody_who_is_nobody_and_nowhere_is_refused(kernel: Kernel, base: Path) -> None:
    kernel.call("worktrees.create", name="a")
    nobody = Caller(kind="anonymous")

    for method, params in (
        ("create", {"name": "b"}),
        ("destroy", {"name": "a", "force": True}),
        ("setup", {"path": str(base / "a")}),
    ):
        with pytest.raises(AnonymousCaller, match=f'anonymous caller cannot invoke "worktrees.{method}"'):
            kernel.call(f"worktrees.{method}", caller=nobody, **params)

    assert [each.name for each in base.iterdir()] == ["a"]


def test_one_made_by_hand_is_found_by_its_folder(kernel: Kernel) -> None:
    made = kernel.repo.worktree("by hand", branch="by-hand")

    gone = kernel.call("worktrees.destroy", name="by hand", delete_branch=True)

    assert gone["worktree_path"] == str(made.path) and not made.path.exists()
    assert kernel.repo.git("branch", "--list", "by-hand") == ""


def test_what_git_cannot_tell_goes_only_by_force(kernel: Kernel, base: Path) -> None:
    kernel.call("worktrees.create", name="a")
    (kernel.repo.path / ".git" / "worktrees" / "a" / "index").write_bytes(b"damaged")

    assert "git status failed" in refused(kernel, "worktrees.destroy", name="a")
    assert (base / "a" / "README.md").exists()
    gone = kernel.call("worktrees.destroy", name="a", force=True)

    assert [each["kind"] for each in gone["thrown_away"]] == ["unknown"] and not (base / "a").exists()


def test_one_whose_folder_is_gone_is_forgotten(kernel: Kernel, base: Path) -> None:
    kernel.call("worktrees.create", name="a", **ADA)
    kernel.call("worktrees.create", name="b", detach=True)
    commit(Repo(base / "b", kernel.repo.path, kernel.repo.env), "one")
    for name in ("a", "b"):
        shutil.rmtree(base / name)

    assert kernel.call("worktrees.destroy", name="a")["removed_identities"] == ["ada"]

    assert "1 commit on no branch" in refused(kernel, "worktrees.destroy", name="b")
    assert kernel.repo.git("worktree", "list").count("\n") == 1 and names(kernel) == []


def test_a_folder_in_the_way_of_the_teardown_stops_it(kernel: Kernel, base: Path) -> None:
    path = Path(kernel.call("worktrees.create", name="a", **ADA)["worktree_path"])
    removing.aside_of(path).mkdir()

    assert "is in the way" in refused(kernel, "worktrees.destroy", name="a")

    assert row(kernel, path)["agent"] == "ada" and (path / "README.md").exists()
    removing.aside_of(path).rmdir()
    (path / "draft").write_text("work\n")
    path.rename(removing.aside_of(path))
    assert "1 new file (draft)" in refused(kernel, "worktrees.destroy", name="a")
    assert (path / "draft").read_text() == "work\n", "what nobody remembers setting aside comes back"
    (path / "draft").unlink()
    kernel.call("worktrees.destroy", name="a")
    assert names(kernel) == []


def test_what_the_disk_refuses_is_one_line_and_nothing_is_left(kernel: Kernel, base: Path) -> None:
    commit(kernel.repo, ".thrum/config.json", "{}\n")  # a branch that holds .thrum
    kernel.repo.git("rm", "-q", "--cached", "-r", ".thrum")
    kernel.repo.git("commit", "-q", "-m", "no more")

    said = refused(kernel, "worktrees.create", name="a", base="HEAD~1")

    assert "has a configuration of its own" in said
    assert not (base / "a").exists() and kernel.repo.git("branch", "--list", "feature/a") == ""


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk than the repository's."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other disk here")
    with tempfile.TemporaryDirectory(prefix="thrum-worktrees-", dir=shm) as name:
        yield Path(name)


def test_another_disk_will_do(kernel: Kernel, other_disk: Path) -> None:
    config = {"worktrees": {"base_path": str(other_disk)}}
    (kernel.repo.path / ".thrum" / "config.json").write_text(json.dumps(config))
    path = other_disk / "project" / "a"

    assert kernel.call("worktrees.create", name="a", **ADA)["worktree_path"] == str(path)
    (path / "draft").write_text("work\n")
    assert "1 new file (draft)" in refused(kernel, "worktrees.destroy", name="a")
    (path / "draft").unlink()
    kernel.call("worktrees.destroy", name="a")

    assert list((other_disk / "project").iterdir()) == [] and names(kernel) == []


def test_a_base_that_can_be_no_folder_is_told_by_its_key(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for base in (tmp_path / "notes", tmp_path / "notes" / "below"):
        kernel.call("config.set", key="worktrees.base_path", value=str(base))

        said = refused(kernel, "worktrees.create", name="a", **ADA)

        assert said == f"worktrees.base_path {base / 'project'}: {tmp_path / 'notes'} is no folder"
        assert refused(kernel, "worktrees.destroy", name="a") == "worktree not found: a"


def test_beads_and_thrum_are_shared_as_the_settings_say(kernel: Kernel, base: Path) -> None:
    (kernel.repo.path / ".beads").mkdir()
    kernel.call("worktrees.create", name="a")
    assert (base / "a" / ".beads" / "redirect").read_text() == f"{kernel.repo.path / '.beads'}\n"
    assert kernel.repo.git("-C", str(base / "a"), "status", "--porcelain") == ""
    kernel.call("worktrees.destroy", name="a")

    (kernel.repo.path / ".thrum" / "config.json").write_text(
        '{"worktrees": {"beads_enabled": false, "thrum_enabled": false}}\n'
    )
    kernel.call("worktrees.create", name="b")
    assert not (base / "b" / ".beads").exists() and not (base / "b" / ".thrum").exists()
