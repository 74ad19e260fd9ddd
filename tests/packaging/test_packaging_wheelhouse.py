"""``scripts/wheels.sh`` leaves a whole wheelhouse: the new one, or, when a build fails, the one that was there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from wheels import ROOT

BUILDER = """\
#!/bin/sh
# Stands in for pip: "builds" what `built` says, into the folder after -w; fails when there is a file `broken`.
while [ "$1" != -w ]; do [ "$1" = -c ] && dependencies=yes; shift; done
[ -f broken ] && { touch "$2/thrum-half-built.whl"; exit 1; }
if [ "${dependencies:-}" ]; then for name in $(cat needed); do touch "$2/$name"; done; fi
for name in $(cat built); do touch "$2/$name"; done
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the script, and a builder in place of pip."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "wheels.sh", tmp_path / "scripts")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(BUILDER)
    python.chmod(0o755)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("1\n")
    (tmp_path / "needed").write_text("other-1.whl")
    (tmp_path / "built").write_text("thrum-1.whl thrum_roles-1.whl")
    return tmp_path


def make(project: Path) -> int:
    return subprocess.run(["sh", "scripts/wheels.sh"], cwd=project, check=False).returncode


def house(project: Path) -> list[str]:
    assert [path.name for path in (project / "dist").iterdir()] == ["wheelhouse"], "nothing else is left"
    return sorted(path.name for path in (project / "dist" / "wheelhouse").glob("*.whl"))


def test_wheels_of_another_version_do_not_stay(project: Path) -> None:
    assert make(project) == 0
    assert house(project) == ["other-1.whl", "thrum-1.whl", "thrum_roles-1.whl"]

    (project / "built").write_text("thrum-2.whl")
    assert make(project) == 0

    assert house(project) == ["other-1.whl", "thrum-2.whl"]


def test_dependencies_are_fetched_anew_when_the_constraints_change_and_the_earlier_ones_go(
    project: Path,
) -> None:
    make(project)
    (project / "needed").write_text("other-0.9.whl")
    assert make(project) == 0
    assert "other-1.whl" in house(project)

    (project / "constraints.txt").write_text("other==0.9\n")
    assert make(project) == 0

    assert house(project) == ["other-0.9.whl", "thrum-1.whl", "thrum_roles-1.whl"]


@pytest.mark.parametrize("what_changed", ["nothing", "the constraints"])
def test_a_build_that_fails_leaves_what_was_there(project: Path, what_changed: str) -> None:
    make(project)
    if what_changed == "the constraints":
        (project / "constraints.txt").write_text("2\n")
    (project / "broken").touch()

    assert make(project) != 0

    assert house(project) == ["other-1.whl", "thrum-1.whl", "thrum_roles-1.whl"]
