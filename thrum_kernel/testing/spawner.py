"""Runs programs that are nobody's children, so that no agent runtime above the tests is an ancestor of theirs.

Thrum asks the operating system who calls, and an agent that runs these tests would be found above every process they
start. The programs are started by a process of our own that was detached first; it ends with us.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ABORTED_S = 5.0
"""How long a program that is aborted may take to say where it was."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a program gave. ``status`` is its exit status, negative for a signal."""

    status: int
    out: str
    err: str


class Spawner:
    """Starts and ends programs through one detached process."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        launcher = subprocess.Popen(
            [sys.executable, "-m", "thrum_kernel.testing.spawner", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        launcher.wait()
        self._file = ours.makefile("rwb")
        self._socket = ours
        self._lock = threading.Lock()
        self._answers: dict[int, Any] = {}
        self._arrived = threading.Condition()
        self._next = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes = b"",
        timeout_s: float = 60.0,
    ) -> Result:
        """Run a program to its end."""
        request = self._request(
            "run", argv, cwd, env, stdin=base64.b64encode(stdin).decode(), timeout=timeout_s
        )
        answer = self._wait(request, timeout_s + 2 * ABORTED_S)
        if "failed" in answer:
            raise TimeoutError(f"{list(map(str, argv))}: {answer['failed']}")
        out, err = (base64.b64decode(answer[key]).decode(errors="replace") for key in ("out", "err"))
        return Result(answer["status"], out, err)

    def start(
        self, argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], output: Path
    ) -> Process:
        """Start a program that goes on; what it prints goes to *output*."""
        request = self._request("start", argv, cwd, env, output=str(output))
        answer = self._wait(request, 10)
        return Process(self, answer["pid"])

    def wait(self, pid: int, timeout_s: float) -> int:
        """The exit status of a started program."""
        request = self._send({"do": "wait", "pid": pid, "timeout": timeout_s})
        answer = self._wait(request, timeout_s + 10)
        if "failed" in answer:
            raise TimeoutError(f"process {pid}: {answer['failed']}")
        return int(answer["status"])

    def close(self) -> None:
        """End the detached process and with it whatever it started and still runs."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(10)
        self._file.close()
        self._socket.close()

    def _request(
        self, do: str, argv: Sequence[str | Path], cwd: Path, env: Mapping[str, str], **more: Any
    ) -> int:
        return self._send(
            {"do": do, "argv": [str(word) for word in argv], "cwd": str(cwd), "env": dict(env), **more}
        )

    def _send(self, request: dict[str, Any]) -> int:
        with self._lock:
            self._next += 1
            request["id"] = self._next
            self._file.write(json.dumps(request).encode() + b"\n")
            self._file.flush()
            return self._next

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._file:
                answer = json.loads(line)
                with self._arrived:
                    self._answers[answer["id"]] = answer
                    self._arrived.notify_all()

    def _wait(self, request: int, timeout_s: float) -> Any:
        with self._arrived:
            if not self._arrived.wait_for(lambda: request in self._answers, timeout_s):
                raise TimeoutError(f"no answer to request {request} within {timeout_s} s")
            return self._answers.pop(request)


@dataclass(frozen=True, slots=True)
class Process:
    """A started program."""

    spawner: Spawner
    pid: int

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = 20.0) -> int:
        """Its exit status, negative for a signal."""
        return self.spawner.wait(self.pid, timeout_s)

    def end(self, timeout_s: float = 20.0) -> int:
        """Ask it to end and wait; killed when it does not."""
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return self.wait(timeout_s)


class _Server:
    """The detached side."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._file = self._socket.makefile("rwb")
        self._lock = threading.Lock()
        self._started: dict[int, subprocess.Popen[bytes]] = {}

    def serve(self) -> None:
        for line in self._file:
            request = json.loads(line)
            threading.Thread(target=self._answer, args=(request,), daemon=True).start()
        for process in self._started.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def _answer(self, request: dict[str, Any]) -> None:
        try:
            answer = getattr(self, "_" + request["do"])(request)
        except (OSError, subprocess.SubprocessError) as error:
            answer = {"failed": str(error)}
        answer["id"] = request["id"]
        with self._lock:
            self._file.write(json.dumps(answer).encode() + b"\n")
            self._file.flush()

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        process = subprocess.Popen(
            request["argv"],
            cwd=request["cwd"],
            env={**request["env"], "PYTHONFAULTHANDLER": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            printed = process.communicate(base64.b64decode(request["stdin"]), request["timeout"])
        except subprocess.TimeoutExpired:
            return {"failed": f"not ended within {request['timeout']:g} s; it said: {_aborted(process)}"}
        out, err = (base64.b64encode(stream).decode() for stream in printed)
        return {"status": process.returncode, "out": out, "err": err}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        with Path(request["output"]).open("ab") as output:
            process = subprocess.Popen(
                request["argv"],
                cwd=request["cwd"],
                env=request["env"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started[process.pid] = process
        return {"pid": process.pid}

    def _wait(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"status": self._started[request["pid"]].wait(request["timeout"])}


def _aborted(process: subprocess.Popen[bytes]) -> str:
    """End a program that hangs; what it printed, and where each of its threads was, if it is one of Python's."""
    process.send_signal(signal.SIGABRT)
    try:
        printed = process.communicate(timeout=ABORTED_S)
    except subprocess.TimeoutExpired as error:  # something that it started has its output still open
        process.kill()
        process.wait()
        printed = (error.stdout or b"", error.stderr or b"")
    return b"\n".join(printed).decode(errors="replace")


if __name__ == "__main__":
    if os.fork() == 0:
        os.setsid()
        _Server(int(sys.argv[1])).serve()
    os._exit(0)
