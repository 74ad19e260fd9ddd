"""Wheels and environments for the tests of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / "dist" / "wheelhouse"


def build_wheel(project: Path, into: Path) -> Path:
    """Build the wheel of a project with the build tools that are here, fetching nothing."""
    before = set(into.glob("*.whl"))
    words = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(into), str(project)]
    run([*_PIP, *words])
    (made,) = set(into.glob("*.whl")) - before
    return made


def make_environment(path: Path, *packages: str) -> Path:
    """A virtual environment with *packages* from the wheelhouse alone; gives its ``bin``."""
    run([sys.executable, "-m", "venv", "--without-pip", str(path)])
    pip(path / "bin", "install", "--no-index", "--find-links", str(WHEELHOUSE), *packages)
    return path / "bin"


def install_into(target: Path, wheel: Path) -> None:
    """Install a wheel into a folder that is put on the Python path of what has everything else."""
    run([*_PIP, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)])


def pip(programs: Path, *words: str) -> None:
    """Our pip at work on another environment: as with its ``--python``, without a process of ours before that one."""
    runner = distribution("pip").locate_file("pip/__pip-runner__.py")
    run([str(programs / "python"), str(runner), *_QUIETLY, *words])


def run(words: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a program prints; all of it is told when it fails."""
    given = dict(os.environ if env is None else env)
    done = subprocess.run(words, cwd=cwd, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


_QUIETLY = ("-q", "--disable-pip-version-check")
_PIP = (sys.executable, "-m", "pip", *_QUIETLY)
