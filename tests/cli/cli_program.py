"""The thin client as it is installed, and the test commands in process; both as programs of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """How a program ended."""

    status: int
    out: bytes
    err: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Program:
    """Something to run with arguments, in a folder, with an environment of the test's own."""

    words: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]

    def __call__(self, *words: str | bytes, stdin: bytes = b"", **env: str) -> Ran:
        done = subprocess.run(
            [*self.words, *words],
            cwd=self.cwd,
            env={**self.env, **env},
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **settings: Any) -> subprocess.Popen[bytes]:
        """Start it and go on."""
        return subprocess.Popen(
            [*self.words, *words], cwd=self.cwd, env=dict(self.env), stdout=subprocess.PIPE, **settings
        )


def environment(home: Path) -> dict[str, str]:
    """PATH, a HOME, and the way to this checkout."""
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}


def install(folder: Path, *, version: str) -> Path:
    """Put the script into *folder*, beside a Python with the libraries of the one that runs the tests."""
    sys.path.insert(0, str(ROOT))
    try:
        from hatch_build import compiled_name, launcher
    finally:
        sys.path.remove(str(ROOT))
    (folder / "bin").mkdir(parents=True)
    (folder / "share" / "thrum").mkdir(parents=True)
    script = folder / "bin" / "thrum"
    text, code = launcher((ROOT / "thrum_kernel/cli/client.py").read_text(), version=version)
    script.write_text(text)
    (folder / "share" / "thrum" / compiled_name()).write_bytes(code)
    script.chmod(0o755)
    (folder / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    shutil.copy(Path(sys.prefix, "pyvenv.cfg"), folder / "pyvenv.cfg")
    (folder / "lib").symlink_to(Path(sys.prefix, "lib"))
    return script


def project(folder: Path) -> Path:
    """A folder that looks initialised; gives where its daemon's socket is."""
    (folder / ".thrum" / "var").mkdir(parents=True)
    (folder / ".thrum" / "config.json").write_text("{}")
    (folder / ".git").mkdir()
    return folder / ".thrum" / "var" / "thrum.sock"


def same(one: Program, other: Program, words: Sequence[str], *, stdin: bytes = b"") -> Ran:
    """Run a command both ways; the output and the exit status are the same and come back."""
    ran, also = one(*words, stdin=stdin), other(*words, stdin=stdin)
    assert (ran.status, ran.out, ran.err) == (also.status, also.out, also.err)
    return ran
