"""Plugins as they are installed: wheels of everything in fresh environments, from another folder, with no network."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """A virtual environment.

    Attributes:
        programs: its ``bin``.
    """

    programs: Path

    @contextmanager
    def having(self, *distributions: str, links: Path = WHEELHOUSE) -> Iterator[None]:
        """Distributions that it has for a while."""
        found_in = ("--find-links", str(WHEELHOUSE), "--find-links", str(links))
        pip(self.programs, "install", "--no-index", *found_in, *distributions)
        yield
        pip(self.programs, "uninstall", "-y", *distributions)


@pytest.fixture(scope="module")
def with_extras(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The kernel with what two of its extras bring."""
    if not list(WHEELHOUSE.glob("thrum-*.whl")):
        pytest.fail("no wheels in dist/wheelhouse: run the tests with `make test`, or `make wheels` first")
    return Environment(make_environment(tmp_path_factory.mktemp("kernel") / "env", EXTRAS))


@pytest.fixture(scope="module")
def environment(with_extras: Environment) -> Environment:
    """The kernel alone: the same environment, which takes long to make, without what the extras brought."""
    pip(with_extras.programs, "uninstall", "-y", "thrum-runtimes", "thrum-guards")
    return with_extras


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the examples."""
    folder = tmp_path_factory.mktemp("examples")
    for name in EXAMPLES:
        build_wheel(ROOT / "examples" / name, folder)
    return folder


@dataclass
class Team:
    """A project in which alice, bob and mallory are agents; its daemon is that of an environment."""

    cli: Cli
    agents: dict[str, Cli]

    def exchange(self) -> None:
        """A message goes from alice to bob."""
        sent = self.agents["alice"].json("send", "are you there?", "--to", "@bob")
        inbox = self.agents["bob"].json("inbox")["messages"]
        assert sent["message_id"] in {message["message_id"] for message in inbox}

    def plugins(self) -> dict[str, str]:
        """The state of every plugin that the daemon has."""
        rows: list[dict[str, Any]] = self.cli.json("plugin", "list")["plugins"]
        return {row["name"]: row["state"] for row in rows}


@contextmanager
def team(programs: Path, repo: Repo, spawner: Spawner) -> Iterator[Team]:
    """A project whose ``thrum`` is that of *programs*."""
    env = {**repo.env, "PATH": f"{programs}:{repo.env['PATH']}"}
    env.pop("PYTHONPATH", None)
    env.pop("THRUM_PLUGINS_DISABLE", None)
    cli = Cli(spawner, repo.path, env, ("thrum",))
    cli("init", "--non-interactive")
    agents = {name: cli.at(repo.worktree(name).path) for name in ("alice", "bob", "mallory")}
    try:
        for name, agent in agents.items():
            agent("quickstart", name, "--role", "implementer", "--module", "acme")
        yield Team(cli, agents)
    finally:
        stop_daemon(cli)


def test_the_extras_bring_exactly_their_plugins(
    repo: Repo, thrum_spawner: Spawner, with_extras: Environment
) -> None:
    """The first test of the module: those after it have the kernel alone in the same environment."""
    with team(with_extras.programs, repo, thrum_spawner) as members:
        members.exchange()
        assert members.plugins() == {"guards": "active", "runtimes": "active"}


def test_the_kernel_alone_works(environment: Environment, repo: Repo, thrum_spawner: Spawner) -> None:
    with team(environment.programs, repo, thrum_spawner) as members:
        members.exchange()
        assert members.plugins() == {}


@pytest.mark.parametrize("package", OURS)
def test_each_plugin_alone_works_with_the_kernel(
    environment: Environment, repo: Repo, thrum_spawner: Spawner, package: str
) -> None:
    distribution = package.replace("_", "-")
    with environment.having(distribution), team(environment.programs, repo, thrum_spawner) as members:
        members.exchange()
        assert members.plugins() == {package.removeprefix("thrum_"): "active"}


def test_all_together_work(
    environment: Environment, repo: Repo, thrum_spawner: Spawner, examples: Path
) -> None:
    names = [*(package.replace("_", "-") for package in OURS), *EXAMPLES]
    with (
        environment.having(*names, links=examples),
        team(environment.programs, repo, thrum_spawner) as members,
    ):
        members.exchange()
        expected = {name.removeprefix("thrum-").replace("-", "_") for name in names}
        assert members.plugins() == dict.fromkeys(expected, "active")
        presets = {preset["name"] for preset in members.cli.json("runtime", "list")["presets"]}
        assert {"acme", "claude"} <= presets


def test_a_teams_guard_refuses_from_its_wheel_and_without_it_messages_pass(
    environment: Environment, repo: Repo, thrum_spawner: Spawner, examples: Path
) -> None:
    to_mallory = ("send", "psst", "--to", "@mallory")
    with team(environment.programs, repo, thrum_spawner) as members:
        alice = members.agents["alice"]
        with environment.having("thrum-acme-guard", links=examples):
            alice("daemon", "restart")
            alice("config", "set", "acme_guard.team", json.dumps(["alice", "bob"]))
            alice("config", "set", "plugins.messaging_guards", json.dumps(["acme_guard"]))

            refused = alice.refused(*to_mallory)

            assert 'guard "acme_guard" fired: outside_team' in refused and "@mallory" in refused
            members.exchange()
            assert members.agents["mallory"].json("inbox")["messages"] == []
        alice("daemon", "restart")

        alice(*to_mallory)

        assert "psst" in members.agents["mallory"]("inbox")


def test_a_monitor_outlives_the_removal_of_its_plugin_and_leaves_nothing_running(
    environment: Environment, repo: Repo, thrum_spawner: Spawner
) -> None:
    command = ("sh", "-c", "echo FAIL; exec sleep 600")
    start = ("monitor", "start", "--name", "build", "--match", "FAIL", "--to", "@bob", "--", *command)
    with team(environment.programs, repo, thrum_spawner) as members:
        alice, bob = members.agents["alice"], members.agents["bob"]
        with environment.having("thrum-monitor"):
            alice("daemon", "restart")
            alice(*start)
            pid = alice.json("monitor", "show", "build")["pid"]
            assert "FAIL" in bob("wait", "--timeout", "30s")
        alice("daemon", "restart")

        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert "install thrum-monitor" in alice.refused("monitor", "list")
        members.exchange()
        assert "FAIL" in bob("inbox")
        with environment.having("thrum-monitor"):
            alice("daemon", "restart")
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

    told = own_tests(wheel, target, project)

    assert " passed" in told and "failed" not in told
    python = [sys.executable, "-m"]
    run([*python, "mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), "src"], cwd=project)
    run([*python, "ruff", "check", "--no-cache", "."], cwd=project)
    graded = cli.at(nowhere, PYTHONPATH=str(target)).in_process().json("plugin", "check", "acme_all")
    (report,) = graded["reports"]
    assert report["grade"] == "gold", [mark for mark in report["marks"] if not mark["ok"]]


def own_tests(wheel: Path, target: Path, project: Path) -> str:
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
    return run([*words, "--rootdir", str(project), str(project / "tests")], cwd=project, env=env)
