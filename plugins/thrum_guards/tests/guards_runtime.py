"""Runtimes as the system sees them: processes called ``claude`` or ``codex`` that run commands as their children."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thrum_kernel.testing.harness import launcher
from thrum_kernel.testing.spawner import Process, Result, Spawner

PATIENCE_S = 20.0

PROGRAM = """
import json, socket, subprocess, sys

with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(sys.argv[1])
    listening.listen()
    while True:
        connection, _ = listening.accept()
        with connection, connection.makefile("rwb") as stream:
            asked = json.loads(stream.readline())
            if asked["goes_on"]:
                started = subprocess.Popen(asked["argv"], cwd=asked["cwd"], env=asked["env"])
                answer = {"pid": started.pid}
            else:
                done = subprocess.run(
                    asked["argv"], cwd=asked["cwd"], env=asked["env"], stdin=subprocess.DEVNULL, capture_output=True
                )
                answer = {"status": done.returncode, "out": done.stdout.decode(), "err": done.stderr.decode()}
            stream.write(json.dumps(answer).encode() + b"\\n")
"""


@dataclass(slots=True)
class Runtime:
    """A running one.

    Attributes:
        pid: its process.
        cwd: where its commands are run.
        env: of its commands.
    """

    folder: Path
    control: Path
    pid: int
    cwd: Path
    env: Mapping[str, str]
    process: Process | None = None

    @classmethod
    def start(
        cls, spawner: Spawner, folder: Path, *, cwd: Path, env: Mapping[str, str], name: str = "claude"
    ) -> Runtime:
        """A runtime that nobody's runtime is above of."""
        argv, control = _program(folder, name)
        process = spawner.start(argv, cwd=cwd, env=env, output=control.with_suffix(".log"))
        return _answering(cls(folder, control, process.pid, cwd, env, process))

    def nested(self, name: str = "codex") -> Runtime:
        """A runtime that this one starts."""
        argv, control = _program(self.folder, name)
        pid = self._ask(argv, goes_on=True)["pid"]
        return _answering(Runtime(self.folder, control, pid, self.cwd, self.env))

    def thrum(self, *words: str, cwd: Path | None = None, in_process: bool = False, **env: str) -> Result:
        """What the installed command gives, run as a child of this runtime."""
        program = [sys.executable, "-m", "thrum_kernel"] if in_process else [str(launcher())]
        answer = self._ask([*program, *words], cwd=cwd, env=env)
        return Result(answer["status"], answer["out"], answer["err"])

    def end(self) -> None:
        """End it, and return when its process is gone."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)
            self.process.wait()
        else:
            os.kill(self.pid, signal.SIGKILL)

    def _ask(
        self, argv: list[str], *, goes_on: bool = False, cwd: Path | None = None, env: Mapping[str, str] = {}
    ) -> Any:
        asked = {
            "argv": argv,
            "goes_on": goes_on,
            "cwd": str(cwd or self.cwd),
            "env": {**self.env, **env},
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self.control))
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps(asked).encode() + b"\n")
                stream.flush()
                return json.loads(stream.readline())


def _program(folder: Path, name: str) -> tuple[list[str], Path]:
    """A Python of another name that runs `PROGRAM`, and the socket it is asked by."""
    folder.mkdir(exist_ok=True)
    program, script = folder / name, folder / "loop.py"
    if not program.exists():
        program.symlink_to(Path(sys.executable).resolve())
    script.write_text(PROGRAM)
    control = folder / f"{name}-{time.monotonic_ns()}"
    return [str(program), "-I", str(script), str(control)], control


def _answering(runtime: Runtime) -> Runtime:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as asked:
            if asked.connect_ex(str(runtime.control)) == 0:
                asked.sendall(
                    json.dumps({"argv": ["true"], "goes_on": False, "cwd": "/", "env": {}}).encode() + b"\n"
                )
                asked.recv(1)
                return runtime
        time.sleep(0.01)
    raise TimeoutError(f"{runtime.control} does not answer")
