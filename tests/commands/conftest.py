"""A project, and a small program in the place of its daemon."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thrum_kernel import jsonio, paths
from thrum_kernel.cli import process
from thrum_kernel.cli.lifecycle import Lifecycle
from thrum_kernel.paths import Paths

STAND_IN = """
import json, os, psutil, signal, socket, sys
from pathlib import Path
from thrum_kernel.bus.address import listen
var = Path(sys.argv[1]) / ".thrum" / "var"
var.mkdir(parents=True, exist_ok=True)
me = psutil.Process()
record = {"pid": me.pid, "repo_path": sys.argv[1], "start_time": me.create_time()}
(var / "thrum.pid").write_text(json.dumps(record))
(var / "environment").write_text(json.dumps(dict(os.environ)))
(var / "facts").write_text(json.dumps([os.getcwd(), os.getsid(0), len(os.listdir("/proc/self/fd"))]))
def end(*_):
    (var / "thrum.sock").unlink(missing_ok=True)
    (var / "thrum.pid").unlink()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
server = listen(var / "thrum.sock")
server.setblocking(True)
while True:
    server.accept()[0].close()
"""


@pytest.fixture
def where(tmp_path: Path) -> Paths:
    (tmp_path / ".thrum").mkdir()
    jsonio.write_object(tmp_path / ".thrum" / "config.json", {})
    return paths.find(tmp_path, env={})


@pytest.fixture
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = tmp_path_factory.mktemp("stand_in") / "stand_in.py"
    script.write_text(STAND_IN)
    return script


@pytest.fixture
def daemon(where: Paths, stand_in: Path) -> Iterator[Lifecycle]:
    def words(repo: Path, *, local: bool, force: bool) -> list[str]:
        return [sys.executable, str(stand_in), str(repo)]

    root = str(Path(process.__file__).parents[2])
    env = {"PATH": os.environ["PATH"], "THRUM_NAME": "alice", "THRUM_WS_PORT": "9", "PYTHONPATH": root}
    lifecycle = Lifecycle(where, env, words=words)
    yield lifecycle
    lifecycle.end_quietly()
