"""Plugins as they are installed: wheels of everything in fresh environments, from another folder, with no network."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from wheels import ROOT, WHEELHOUSE, build_wheel, install_into, make_environment, pip, run

from thrum_kernel.plugins import scaffold
from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.spawner import Spawner

OURS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
EXAMPLES = ("thrum-acme-guard", "thrum-acme-runtime")
EXTRAS = "thrum[runtimes,guards]"


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the kernel alone.

    Attributes:
        programs: its ``bin``.
    """

    programs: Path

    @contextmanager
    def having(self, *requirements: str, links: Path = WHEELHOUSE) -> Iterator[None]:
        """What it has for a while: *requirements*, and whatever they bring."""
        before = self._distributions()
        found_in = ("--find-links", str(WHEELHOUSE), "--find-links", str(links))
        pip(self.programs, "install", "--no-index", *found_in, *requirements)
        try:
            yield
        finally:
            pip(self.programs, "uninstall", "-y", *sorted(self._distributions() - before))

    def _distributions(self) -> set[str]:
        (packages,) = self.programs.parent.glob("lib/python*/site-packages")
        return {found.name for found in metadata.distributions(path=[str(packages)])}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """One for all tests of the module, as it takes long to make."""
    if not list(WHEELHOUSE.glob("thrum-*.whl")):
        pytest.fail("no wheels in dist/wheelhouse: run the tests with `make test`, or `make wheels` first")
    return Environment(make_environment(tmp_path_factory.mktemp("kernel") / "env", "thrum"))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the examples."""
    folder = tmp_path_factory.mktemp("examples")
    for name in EXAMPLES:
        build_wheel(ROOT / "examples" / name, folder)
    return folder


@dataclass
class Team:
    """A project in which alice, who is in the main worktree, and bob are agents; its daemon is that of an environment."""

    repo: Repo
    alice: Cli
    bob: Cli

    def join(self, name: str) -> Cli:
        """One more agent, in a worktree of its own."""
        agent = self.alice.at(self.repo.worktree(name).path)
        agent("quickstart", name, "--role", "implementer", "--module", "acme")
        return agent

    def exchange(self) -> None:
        """A message goes from alice to bob."""
        sent = self.alice.json("send", "are you there?", "--to", "@bob")
        inbox = self.bob.json("inbox")["messages"]
        assert sent["message_id"] in {message["message_id"] for message in inbox}

    def plugins(self) -> dict[str, str]:
        """The state of every plugin that the daemon has."""
        rows: list[dict[str, Any]] = self.alice.json("plugin", "list")["plugins"]
        return {row["name"]: row["state"] for row in rows}


@contextmanager
def team(programs: Path, repo: Repo, spawner: Spawner) -> Iterator[Team]:
    """A new project whose ``thrum`` is that of *programs*."""
    env = {**repo.env, "PATH": f"{programs}:{repo.env['PATH']}"}
    env.pop("PYTHONPATH", None)
    env.pop("THRUM_PLUGINS_DISABLE", None)
    alice = Cli(spawner, repo.path, env, ("thrum",))
    try:
        alice("init", "--non-interactive", "--name", "alice", "--role", "implementer", "--module", "acme")
        members = Team(repo, alice, alice)
        members.bob = members.join("bob")
        yield members
    finally:
        stop_daemon(alice)


@pytest.fixture(scope="module")
def members(
    environment: Environment, tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner
) -> Iterator[Team]:
    """A team that was there before any plugin; its daemon has the kernel alone."""
    repo = Repo.housed(tmp_path_factory.mktemp("team"))
    with team(environment.programs, repo, thrum_spawner) as made:
        yield made


@contextmanager
def daemon_with(
    environment: Environment, members: Team, distribution: str, links: Path = WHEELHOUSE
) -> Iterator[None]:
    """The team's daemon has a plugin that somebody installs, and uninstalls at the end."""
    with environment.having(distribution, links=links):
        members.alice("daemon", "restart")
        yield
    members.alice("daemon", "restart")


def test_the_kernel_alone_works(members: Team) -> None:
    members.exchange()
    assert members.plugins() == {}


def test_the_extras_bring_exactly_their_plugins(
    environment: Environment, repo: Repo, thrum_spawner: Spawner
) -> None:
    with environment.having(EXTRAS), team(environment.programs, repo, thrum_spawner) as newcomers:
        newcomers.exchange()
        assert newcomers.plugins() == {"guards": "active", "runtimes": "active"}


@pytest.mark.parametrize("package", OURS)
def test_each_plugin_alone_works_with_the_kernel(
    environment: Environment, repo: Repo, thrum_spawner: Spawner, package: str
) -> None:
    distribution = package.replace("_", "-")
    with (
        environment.having(distribution),
        team(environment.programs, repo, thrum_spawner) as newcomers,
    ):
        newcomers.exchange()
        assert newcomers.plugins() == {package.removeprefix("thrum_"): "active"}


def test_all_together_work(
    environment: Environment, repo: Repo, thrum_spawner: Spawner, examples: Path
) -> None:
    names = [*(package.replace("_", "-") for package in OURS), *EXAMPLES]
    with (
        environment.having(*names, links=examples),
        team(environment.programs, repo, thrum_spawner) as newcomers,
    ):
        newcomers.exchange()
        expected = {name.removeprefix("thrum-").replace("-", "_") for name in names}
        assert newcomers.plugins() == dict.fromkeys(expected, "active")
        presets = {preset["name"] for preset in newcomers.alice.json("runtime", "list")["presets"]}
        assert {"acme", "claude"} <= presets


def test_a_teams_guard_refuses_from_its_wheel_and_without_it_messages_pass(
    environment: Environment, members: Team, examples: Path
) -> None:
    alice, mallory = members.alice, members.join("mallory")
    to_mallory = ("send", "psst", "--to", "@mallory")
    with daemon_with(environment, members, "thrum-acme-guard", examples):
        alice("config", "set", "acme_guard.team", json.dumps(["alice", "bob"]))
        alice("config", "set", "plugins.messaging_guards", json.dumps(["acme_guard"]))

        refused = alice.refused(*to_mallory)

        assert 'guard "acme_guard" fired: outside_team' in refused and "@mallory" in refused
        members.exchange()
        assert mallory.json("inbox")["messages"] == []

    alice(*to_mallory)

    assert "psst" in mallory("inbox")
    alice("config", "set", "plugins.messaging_guards", "[]")


def test_a_monitor_outlives_the_removal_of_its_plugin_and_leaves_nothing_running(
    environment: Environment, members: Team
) -> None:
    alice, bob = members.alice, members.bob
    command = ("sh", "-c", "echo FAIL; exec sleep 600")
    with daemon_with(environment, members, "thrum-monitor"):
        alice("monitor", "start", "--name", "build", "--match", "FAIL", "--to", "@bob", "--", *command)
        pid = alice.json("monitor", "show", "build")["pid"]
        assert "FAIL" in bob("wait", "--timeout", "30s")

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "install thrum-monitor" in alice.refused("monitor", "list")
    members.exchange()
    assert "FAIL" in bob("inbox")
    with daemon_with(environment, members, "thrum-monitor"):
        deadline = time.monotonic() + 30
        while not alice.json("monitor", "show", "build").get("suppressed"):  # within the window of before
            assert time.monotonic() < deadline, "it was not started again"
        alice("monitor", "delete", "build")
        assert alice.json("monitor", "list", "--all") == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_tests_of_an_example_pass_where_its_wheel_is_installed(
    name: str, examples: Path, tmp_path: Path
) -> None:
    (wheel,) = examples.glob(f"{name.replace('-', '_')}-*.whl")
    target = tmp_path / "installed"

    told = own_tests(wheel, target, ROOT / "examples" / name)

    assert " passed" in told and "failed" not in told


def test_a_new_plugin_with_all_its_parts_installs_passes_its_own_tests_and_is_graded_gold(
    cli: Cli, tmp_path: Path
) -> None:
    nowhere, target = tmp_path / "nowhere", tmp_path / "installed"
    nowhere.mkdir()
    made = cli.at(nowhere).json("plugin", "new", "acme_all", "--with", ",".join(scaffold.PARTS))
    project = Path(made["path"])
    wheel = build_wheel(project, tmp_path)

    # One test of the contract is left to the grading, which runs all of them.
    told = own_tests(wheel, target, project, "-k", "not messages_go_on_with_it_in_a_real_daemon")

    assert " passed" in told and "failed" not in told
    python = [sys.executable, "-m"]
    run([*python, "mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), "src"], cwd=project)
    run([*python, "ruff", "check", "--no-cache", "."], cwd=project)
    graded = cli.at(nowhere, PYTHONPATH=str(target)).in_process().json("plugin", "check", "acme_all")
    (report,) = graded["reports"]
    assert report["grade"] == "gold", [mark for mark in report["marks"] if not mark["ok"]]


def own_tests(wheel: Path, target: Path, project: Path, *chosen: str) -> str:
    """What pytest says of a project's tests where its wheel is installed beside thrum; its source is not on the path."""
    install_into(target, wheel)
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(project / "pyproject.toml"),
    ]
    env = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(target),
        "PYTHONDONTWRITEBYTECODE": "1",
        "THRUM_PLUGINS_STRICT": "1",
    }
    return run([*words, "--rootdir", str(project), str(project / "tests"), *chosen], cwd=project, env=env)
