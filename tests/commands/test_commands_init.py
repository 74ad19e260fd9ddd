"""``init`` without a daemon, in real repositories; failing at each of its steps takes everything back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_run import Ran, run
from test_commands_transaction import Stop, tree_of

from thrum_kernel import jsonio, paths
from thrum_kernel.cli.setup import IGNORED, Setup, Wishes
from thrum_kernel.cli.transaction import FileChange, Transaction
from thrum_kernel.identity import files
from thrum_kernel.testing.harness import Repo

TEXTS = [
    ".thrum/llms.txt",
    ".thrum/strategies/resume-after-context-loss.md",
    ".thrum/strategies/sub-agent-strategy.md",
    ".thrum/strategies/thrum-registration.md",
]


@pytest.fixture
def home(repo: Repo) -> Path:
    return Path(repo.env["HOME"])


def init(repo: Repo | Path, *words: str, home: Path) -> Ran:
    where = repo if isinstance(repo, Path) else repo.path
    env = {"HOME": str(home), "THRUM_PLUGINS_AUTOLOAD": "0"}
    return run("init", "--no-daemon", *words, cwd=where, env=env)


def files_below(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".git" not in path.relative_to(folder).parts:
            yield str(path.relative_to(folder))


def config_of(repo: Repo) -> dict[str, Any]:
    return jsonio.read_object(repo.main / ".thrum" / "config.json")


def test_init_writes_what_the_design_says_and_no_more(repo: Repo, home: Path) -> None:
    ran = init(repo, home=home)
    assert ran.status == 0, ran.err
    assert ran.out.splitlines() == ["  skipping daemon start", "Thrum initialized"]
    assert "init.next-quickstart" in ran.err
    assert list(files_below(repo.path)) == [".gitignore", ".thrum/config.json", *TEXTS, "README.md"]
    assert config_of(repo)["daemon"] == {"local_only": True, "single_agent_mode": True}
    assert config_of(repo)["worktrees"] == {"base_path": f"{home}/.thrum/worktrees/project"}
    assert config_of(repo)["orchestration"] == {"merge_target": "main", "default_autonomy": "end_only"}
    assert repo.git("status", "--porcelain") == "?? .gitignore"
    assert config_of(repo)["identity"]["repo_name"] == "project"


def test_init_says_nothing_of_quickstart_where_somebody_is_registered(repo: Repo, home: Path) -> None:
    init(repo, home=home)
    (repo.path / ".thrum" / "identities" / "alice.json").write_text("{}")
    assert init(repo, "--force", home=home).err == ""


def test_init_without_a_daemon_leaves_an_identity_for_its_next_start(repo: Repo, home: Path) -> None:
    ran = init(repo, "--name", "@alice", "--agent-role", "tester", home=home)
    assert ran.out.splitlines()[1] == "✓ Identity written: alice (registered when the daemon starts)"
    (found,) = files.read_all(repo.path / ".thrum" / "identities").identities
    assert (found.name, found.role, found.module) == ("alice", "tester", "project")
    assert (found.worktree, found.branch) == (str(repo.path), "main")
    assert ran.err == ""


def test_init_again_keeps_the_daemons_identity(repo: Repo, home: Path) -> None:
    init(repo, home=home)
    before = config_of(repo)["identity"]["daemon_id"]
    init(repo, "--force", home=home)
    assert config_of(repo)["identity"]["daemon_id"] == before
    assert jsonio.read_object(repo.path / ".git" / "thrum-sync" / "daemon.json")["daemon_id"] == before


@pytest.mark.parametrize("is_old", [False, True], ids=["fresh", "force"])
def test_a_daemon_that_does_not_come_up_takes_everything_back(repo: Repo, home: Path, is_old: bool) -> None:
    if is_old:
        (repo.path / ".thrum").mkdir()
        (repo.path / ".thrum" / "config.json").write_bytes(b'{"mine":1}')
    before = tree_of(repo.path)
    broken = home / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os; os.write(2, b'Error: the disk is on fire\\n'); os._exit(3)\n"
    )
    env = {"HOME": str(home), "PYTHONPATH": str(broken)}
    ran = run("init", "--force", cwd=repo.path, env=env)
    assert ran.status == 1
    assert ran.err.startswith("Error: the daemon ended: the disk is on fire")
    assert tree_of(repo.path) == before


def test_a_registration_that_is_refused_takes_everything_back(repo: Repo, home: Path) -> None:
    before = tree_of(repo.path)
    where = paths.plan(repo.path, env={"HOME": str(home)})
    with pytest.raises(Stop), Transaction() as transaction:
        Setup.write(Setup(where, home=home, branch="main").plan(Wishes()), transaction)
        transaction.claim(where.sync)
        where.sync.mkdir(parents=True)
        (where.sync / "journal").write_bytes(b"x")
        raise Stop
    assert tree_of(repo.path) == before


def test_init_adds_its_lines_to_gitignore_below_what_is_there(repo: Repo, home: Path) -> None:
    (repo.path / ".gitignore").write_bytes(b"*.pyc")
    init(repo, home=home)
    text = (repo.path / ".gitignore").read_text()
    assert text.startswith("*.pyc\n\n# Thrum")
    assert text.splitlines()[3:] == list(IGNORED)
    init(repo, "--force", home=home)
    assert (repo.path / ".gitignore").read_text() == text


def test_init_adds_only_the_lines_that_are_missing(repo: Repo, home: Path) -> None:
    (repo.path / ".gitignore").write_text("/.thrum\n")
    init(repo, home=home)
    assert ".thrum/" not in (repo.path / ".gitignore").read_text().splitlines()


def test_init_stealth_leaves_gitignore_alone(repo: Repo, home: Path) -> None:
    init(repo, "--stealth", home=home)
    assert not (repo.path / ".gitignore").exists()
    assert ".thrum/" in (repo.path / ".git" / "info" / "exclude").read_text()
    assert repo.git("status", "--porcelain") == ""


def test_dry_run_lists_every_file_and_writes_none(repo: Repo, home: Path) -> None:
    before = tree_of(repo.path)
    shown = init(repo, "--dry-run", "--json", home=home).json
    assert tree_of(repo.path) == before
    assert shown["dry_run"] is True
    planned = {entry["path"] for entry in shown["files"] if entry["action"] != "skip"}
    planned.remove(str(repo.path / ".git" / "thrum-sync" / "daemon.json"))
    init(repo, home=home)
    written = {str(repo.path / name) for name in files_below(repo.path)} - {str(repo.path / "README.md")}
    assert planned == written
    text = init(repo, "--dry-run", "--force", home=home).out
    assert text.splitlines()[0] == "Dry run — no files written:"
    assert f"  would keep {repo.path}/.thrum/config.json" in text


def test_init_again_is_refused_and_with_force_keeps_what_is_there(repo: Repo, home: Path) -> None:
    init(repo, home=home)
    config = repo.path / ".thrum" / "config.json"
    jsonio.write_object(
        config, {"mine": 1, "daemon": {"local_only": False}, "worktrees": {"base_path": "/w"}}
    )
    refused = init(repo, home=home)
    assert (refused.status, refused.out) == (1, "")
    assert "already initialized" in refused.err
    again = init(repo, "--force", home=home)
    assert again.out.endswith("Thrum initialized\n")
    after = config_of(repo)
    assert (after["mine"], after["worktrees"]) == (1, {"base_path": "/w"})
    assert after["daemon"] == {"single_agent_mode": True, "local_only": False}


def test_init_with_a_worktrees_root(repo: Repo, home: Path) -> None:
    init(repo, "--worktrees-root", "~/trees", home=home)
    assert config_of(repo)["worktrees"]["base_path"] == str(home / "trees")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--worktrees-root", "trees"), "is not an absolute path"),
        (("--runtime", "claude"), "--runtime needs the runtimes plugin, which is not installed"),
        (("--skills",), "--skills needs the runtimes plugin"),
        (("--roles", "enhanced"), "--roles needs the roles plugin"),
        (("--name", "Bad Name"), "invalid agent name"),
        (("--name", "dev", "--role", "dev"), "dev"),
    ],
)
def test_init_refuses_and_writes_nothing(repo: Repo, home: Path, words: tuple[str, ...], error: str) -> None:
    before = tree_of(repo.path)
    ran = init(repo, *words, home=home)
    assert ran.status == 1
    assert error in ran.err.splitlines()[0]
    assert tree_of(repo.path) == before


def test_init_never_sends_anybody_to_the_thrum_of_the_public_index(repo: Repo, home: Path) -> None:
    ran = init(repo, "--runtime", "claude", home=home)
    assert ran.err.splitlines()[-1] == "Hint: install thrum-runtimes from where this thrum came from"


def test_init_refuses_a_worktrees_root_inside_the_repository(repo: Repo, home: Path) -> None:
    ran = init(repo, "--worktrees-root", str(repo.path / "trees"), home=home)
    assert "inside the repository" in ran.err


def test_init_outside_git_needs_force(tmp_path: Path, repo: Repo, home: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    refused = init(plain, home=home)
    assert (refused.status, list(plain.iterdir())) == (1, [])
    assert refused.err.startswith("Error: not a git repository")
    assert init(plain, "--force", home=home).status == 0
    assert sorted(files_below(plain)) == [".thrum/config.json", *TEXTS, ".thrum/thrum-sync/daemon.json"]


def test_init_in_a_bare_repository_is_refused(tmp_path: Path, repo: Repo, home: Path) -> None:
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], env=dict(repo.env), check=True)
    before = tree_of(bare)
    assert "is a bare git repository" in init(bare, home=home).err
    assert tree_of(bare) == before


def test_init_with_a_damaged_configuration_is_refused(repo: Repo, home: Path) -> None:
    (repo.path / ".thrum").mkdir()
    (repo.path / ".thrum" / "config.json").write_text('{"daemon": {')
    before = tree_of(repo.path)
    ran = init(repo, "--force", home=home)
    assert ran.status == 1
    assert "config.json: is not valid JSON" in ran.err
    assert tree_of(repo.path) == before


def test_init_in_a_linked_worktree_redirects_to_the_main_one(repo: Repo, home: Path) -> None:
    linked = repo.worktree("linked")
    assert init(linked, home=home).status == 0
    assert (linked.path / ".thrum" / "redirect").read_text() == f"{repo.path}/.thrum\n"
    assert (repo.path / ".thrum" / "config.json").is_file()
    assert not (linked.path / ".thrum" / "config.json").exists()
    assert linked.git("status", "--porcelain") == ""
    assert paths.find(linked.path, env={}).thrum == repo.path / ".thrum"


def test_init_in_a_linked_worktree_of_an_initialised_repository_writes_only_the_redirect(
    repo: Repo, home: Path
) -> None:
    init(repo, home=home)
    linked = repo.worktree("linked")
    before = tree_of(repo.path / ".thrum")
    ran = init(linked, home=home)
    assert ran.out.splitlines()[0] == f"✓ {linked.path} shares {repo.path}/.thrum"
    assert tree_of(repo.path / ".thrum") == before
    assert linked.git("status", "--porcelain") == ""


def test_setup_wires_a_worktree_by_its_path(repo: Repo, home: Path) -> None:
    init(repo, home=home)
    linked = repo.worktree("linked")
    ran = run("setup", "../nowhere", cwd=repo.path, env={"HOME": str(home)})
    assert ran.status == 1 and ran.err.startswith("Error: ../nowhere is not a folder\n")

    ran = run("setup", str(linked.path), cwd=repo.path, env={"HOME": str(home)})
    assert ran.out == f"✓ {linked.path} shares {repo.path}/.thrum\n"
    assert (linked.path / ".thrum" / "redirect").is_file()


def test_setup_refuses_what_cannot_share_before_it_writes(repo: Repo, home: Path, tmp_path: Path) -> None:
    init(repo, home=home)
    linked, theirs = repo.worktree("linked"), tmp_path / "theirs"
    theirs.mkdir()
    here = linked.path / ".thrum"

    def refused(path: Path) -> str:
        ran = run("setup", str(path), cwd=repo.path, env={"HOME": str(home)})
        assert ran.status == 1 and ran.out == ""
        return ran.err.splitlines()[0]

    assert "holds the shared .thrum itself" in refused(repo.path)
    here.write_text("a file\n")
    assert refused(linked.path) == f"Error: {here} is no folder of its own"
    here.unlink()
    here.symlink_to(theirs)
    assert refused(linked.path) == f"Error: {here} is no folder of its own"
    assert list(theirs.iterdir()) == []
    here.unlink()
    here.mkdir()
    (here / "config.json").write_text("{}\n")
    assert refused(linked.path) == f"Error: {here} has a configuration of its own"
    assert [path.name for path in here.iterdir()] == ["config.json"]


class _Breaking(Transaction):
    """Fails at its n-th step, before or after it."""

    def __init__(self, step: int, *, after: bool) -> None:
        super().__init__()
        self._left = step
        self._after = after

    def write(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Stop
        super().write(path, data, mode=mode)
        if self._left == 0:
            raise Stop


def _steps(repo: Repo, home: Path) -> list[FileChange]:
    where = paths.plan(repo.path, env={"HOME": str(home)})
    return Setup(where, home=home, branch="main").plan(Wishes()).changes


@pytest.mark.parametrize("is_old", [False, True], ids=["fresh", "force"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_failing_at_each_step_restores_byte_for_byte(
    repo: Repo, home: Path, is_old: bool, after: bool
) -> None:
    (repo.path / ".gitignore").write_bytes(b"*.pyc\r\nno newline at the end")
    if is_old:
        thrum = repo.path / ".thrum"
        (thrum / "identities").mkdir(parents=True)
        (thrum / "identities" / "alice.json").write_text("{}")
        (thrum / "config.json").write_bytes(b'{"mine":1}')
        (thrum / "llms.txt").write_bytes(b"old text")
        (thrum / "llms.txt").chmod(0o604)
    before = tree_of(repo.path)
    steps = len(_steps(repo, home))
    assert steps == 6
    for step in range(1, steps + 1):
        where = paths.plan(repo.path, env={"HOME": str(home)})
        setup = Setup(where, home=home, branch="main")
        with pytest.raises(Stop), _Breaking(step, after=after) as transaction:
            setup.write(setup.plan(Wishes()), transaction)
        assert tree_of(repo.path) == before, f"step {step}"


def test_configuration_comes_last_so_that_half_an_init_does_not_count(repo: Repo, home: Path) -> None:
    assert _steps(repo, home)[-1].path == repo.path / ".thrum" / "config.json"


def test_init_does_not_overwrite_what_the_daemon_will_write_back(repo: Repo, home: Path) -> None:
    where = paths.plan(repo.path, env={"HOME": str(home)})
    where.sync.mkdir(parents=True)
    where.daemon_file.write_text(json.dumps({"daemon_id": "d_1"}))
    init(repo, home=home)
    assert not where.config.exists()
