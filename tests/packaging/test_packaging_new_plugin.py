"""What ``thrum plugin new`` writes: its wheel builds, installs, passes its own tests, and is graded gold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from thrum_kernel.plugins import scaffold
from thrum_kernel.testing.harness import Cli


def pip(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *words], check=True)


def test_a_new_plugin_with_everything_builds_installs_and_passes_its_own_tests(
    cli: Cli, tmp_path: Path
) -> None:
    nowhere, site = tmp_path / "nowhere", tmp_path / "site"
    nowhere.mkdir()
    made = cli.at(nowhere).json("plugin", "new", "acme_all", "--with", ",".join(scaffold.PARTS))

    pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), made["path"])
    (wheel,) = tmp_path.glob("*.whl")
    pip("install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    env = {**os.environ, "PYTHONPATH": str(site), "THRUM_PLUGINS_STRICT": "1"}
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=made["path"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr

    graded = cli.at(nowhere, PYTHONPATH=str(site)).in_process().json("plugin", "check", "acme_all")
    (report,) = graded["reports"]
    assert report["grade"] == "gold", [mark for mark in report["marks"] if not mark["ok"]]
