"""A newcomer's path: an empty virtual environment, our wheels, and the README's tour to the first reply."""

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


def make_environment(path: Path, *packages: str) -> Path:
    """A virtual environment with *packages* from the wheelhouse alone; gives its ``bin``."""
    subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
    pip = [str(path / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-index", "--find-links", str(WHEELHOUSE), *packages], check=True)
    return path / "bin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not list(WHEELHOUSE.glob("thrum-*.whl")):
        pytest.fail("no wheels in dist/wheelhouse: run the tests with `make test`, or `make wheels` first")
    folder = tmp_path_factory.mktemp("with space") / "env"
    yield make_environment(folder, "thrum")
    shutil.rmtree(folder)


@pytest.fixture
def newcomer(installed: Path, repo: Repo, thrum_spawner: Spawner) -> Iterator[Cli]:
    env = {**repo.env, "PATH": f"{installed}:{repo.env['PATH']}"}
    env.pop("PYTHONPATH", None)
    cli = Cli(thrum_spawner, repo.path, env, ("thrum",))
    yield cli
    stop_daemon(cli)


def test_from_pip_install_to_the_first_reply(newcomer: Cli, repo: Repo) -> None:
    assert "0.11.0" in newcomer("version")
    assert "Thrum initialized" in newcomer("init", "--non-interactive")
    alice, bob = (newcomer.at(repo.worktree(name).path) for name in ("alice", "bob"))
    alice("quickstart", "alice", "--role", "implementer", "--module", "auth")
    bob("quickstart", "bob", "--role", "reviewer", "--module", "auth")

    sent = json.loads(alice("send", "Ready for review", "--to", "@bob", "--json"))
    assert "Ready for review" in bob("inbox")
    bob("reply", sent["message_id"], "Looks good")

    assert "Looks good" in alice("inbox")
    assert repo.git("status", "--porcelain").split() == ["??", ".gitignore"]


def test_the_installed_command_is_the_thin_launcher(installed: Path) -> None:
    assert (installed / "thrum").read_bytes().startswith(b"#!/bin/sh\n")
