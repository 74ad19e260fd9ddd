"""Wheels of everything in a fresh environment: exactly the plugins that were asked for, each alone, all together."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.spawner import Spawner

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / "dist" / "wheelhouse"
PLUGINS = sorted(path.parent.name.removeprefix("thrum_") for path in ROOT.glob("plugins/*/pyproject.toml"))


class Environment:
    """A virtual environment whose packages come from the wheelhouse alone."""

    def __init__(self, path: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
        self.path = path

    def install(self, *packages: str) -> None:
        self._pip("install", "--no-index", "--find-links", str(WHEELHOUSE), *packages)

    def uninstall(self, *packages: str) -> None:
        self._pip("uninstall", "-y", *packages)

    def _pip(self, *words: str) -> None:
        python = str(self.path / "bin" / "python")
        command = [python, "-m", "pip", "-q", "--disable-pip-version-check", *words]
        subprocess.run(command, check=True, cwd=self.path)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    if not list(WHEELHOUSE.glob("thrum_*.whl")):
        pytest.fail("no wheels in dist/wheelhouse: run the tests with `make test`, or `make wheels` first")
    made = Environment(tmp_path / "env")
    yield made
    shutil.rmtree(made.path)


@pytest.fixture
def cli(environment: Environment, repo: Repo, thrum_spawner: Spawner) -> Iterator[Cli]:
    """The command of that environment, typed in a repository elsewhere, with every plugin it has."""
    env = {name: value for name, value in repo.env.items() if not name.startswith("THRUM_PLUGINS_")}
    env = {**env, "PATH": f"{environment.path / 'bin'}:{env['PATH']}"}
    env.pop("PYTHONPATH", None)
    made = Cli(thrum_spawner, repo.path, env, ("thrum",))
    yield made
    stop_daemon(made)


def states(cli: Cli) -> dict[str, str]:
    return {plugin["name"]: plugin["state"] for plugin in cli.json("plugin", "list")["plugins"]}


def test_extras_give_exactly_those_plugins_and_they_work_together(environment: Environment, cli: Cli) -> None:
    environment.install("thrum[runtimes,guards]")
    cli("init", "--non-interactive")
    assert states(cli) == {"guards": "active", "runtimes": "active"}
    assert "thrum-roles" in cli.refused("roles", "list")
    cli("daemon", "stop")

    environment.install("thrum[all]")
    cli("daemon", "start")
    assert states(cli) == dict.fromkeys(PLUGINS, "active")


def test_the_kernel_works_alone_and_with_each_plugin_alone(environment: Environment, cli: Cli) -> None:
    environment.install("thrum")
    cli("init", "--non-interactive")
    assert states(cli) == {}
    cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    for plugin in PLUGINS:
        environment.install(f"thrum-{plugin}")
        cli("daemon", "restart")

        assert states(cli) == {plugin: "active"}
        sent = cli.json("send", f"with {plugin}", "--to", "@everyone")
        assert json.dumps(sent["message_id"]) in json.dumps(cli.json("sent"))
        environment.uninstall(f"thrum-{plugin}")
