"""What a test does with the fake runtime: have it started in a pane, steer it, and see what it was given.

::

    fake = FakeRuntime(tmp_path / "fake")
    tmux("send-keys", "-t", pane, fake.command(cwd), "Enter")
    fake.connect()
    fake.draft("half a tho")
    assert fake.state()["submitted"] == []
"""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from thrum_kernel import jsonio, paths
from thrum_kernel.plugins.team import FOLDER, Trust, file_of
from thrum_kernel.testing.harness import Repo

PATIENCE_S: Final = 20.0
PLUGIN: Final = "fake_runtime"
_TEAM_FILE: Final = '''"""The runtime `fake-agent` of thrum's own tests."""

from thrum_kernel.testing.fake_runtime.plugin import FAKE_AGENT, MANIFEST, thrum_runtime_presets

__all__ = ["FAKE_AGENT", "MANIFEST", "thrum_runtime_presets"]
'''


class FakeRuntime:
    """One run of the program.

    Args:
        folder: for its record and its sessions; made when missing.
        options: see `options.Options`, e.g. ``drop=0.7, seed=3``; given as arguments.

    Attributes:
        record: file with every keystroke that it took.
        home: its ``CLAUDE_CONFIG_DIR``.
    """

    def __init__(self, folder: Path, **options: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.record = folder / "keys.jsonl"
        self.home = folder / "sessions-home"
        # A socket's path must be short, and the folders of tests are long.
        self._short = tempfile.TemporaryDirectory(prefix="fake-")
        self.control = Path(self._short.name) / "control"
        self._options = options
        self._stream: Any = None
        self._socket: socket.socket | None = None

    # --- starting it -------------------------------------------------------------------------------------------------

    @property
    def argv(self) -> list[str]:
        """The program and its arguments."""
        given = {"control": self.control, "record": self.record, **self._options}
        words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        return [sys.executable, "-m", "thrum_kernel.testing.fake_runtime", *words]

    @property
    def env(self) -> Mapping[str, str]:
        """What it needs in its environment."""
        return {"CLAUDE_CONFIG_DIR": str(self.home)}

    def command(self) -> str:
        """The line that starts it in a shell."""
        env = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.env.items())
        return f"{env} {shlex.join(self.argv)}"

    def connect(self, *, limit_s: float = PATIENCE_S) -> None:
        """Wait until it runs, and be connected.

        Raises:
            TimeoutError: it does not come up.
        """
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            connection = socket.socket(socket.AF_UNIX)
            if connection.connect_ex(str(self.control)) == 0:
                connection.settimeout(limit_s)
                self._socket, self._stream = connection, connection.makefile("rwb")
                return
            connection.close()
            time.sleep(0.01)
        raise TimeoutError("the fake runtime does not come up")

    def reconnect(self, *, limit_s: float = PATIENCE_S) -> None:
        """Be connected to a run of it that was started after the last one ended. Raises TimeoutError."""
        self._disconnect()
        self.connect(limit_s=limit_s)

    def close(self) -> None:
        """Let go of it; it goes on."""
        self._disconnect()
        self._short.cleanup()

    def _disconnect(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # what was not sent is lost with the connection
                self._stream.close()
            self._socket.close()
            self._socket = None

    # --- orders ------------------------------------------------------------------------------------------------------

    def order(self, do: str, **given: object) -> dict[str, Any]:
        """Have it do something; gives how things stand then.

        Raises:
            ValueError: it does not know that order.
            ConnectionError: it is gone.
        """
        self._stream.write(json.dumps({"do": do, **given}).encode() + b"\n")
        self._stream.flush()
        line = self._stream.readline()
        if not line:
            raise ConnectionError("the fake runtime is gone")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def state(self) -> dict[str, Any]:
        """How things stand: ``owner``, ``draft``, ``submitted``, ``taken``, ``frame``, …"""
        return self.order("state")

    def draft(self, text: str) -> int:
        """Let *text* stand in its prompt box, as if a person had typed it; the frame that shows it."""
        return int(self.order("draft", text=text)["frame"])

    def work(self, seconds: float | None = None) -> int:
        """Let it be busy; the frame that shows it."""
        return int(self.order("work", seconds=seconds)["frame"])

    def rest(self) -> None:
        """Let it be idle, and return when it is."""
        self.order("rest")
        self.until(lambda state: not state["is_working"])

    def dialog(self, name: str) -> int:
        """Let it ask something (see `dialogs`), or nothing; the frame that shows it."""
        return int(self.order("dialog", name=name)["frame"])

    def crash(self) -> None:
        """Let it end as if it had crashed."""
        with_answer = False
        try:
            self.order("crash")
            with_answer = True
        except ConnectionError:
            pass
        assert not with_answer, "it goes on after a crash"

    def until(
        self, holds: Callable[[dict[str, Any]], object], *, limit_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        """Wait until *holds* of its state; gives that state.

        Raises:
            TimeoutError: it never comes true; says how things stand.
        """
        deadline = time.monotonic() + limit_s
        while True:
            state = self.state()
            if holds(state):
                return state
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {limit_s:g} s: {state}")
            time.sleep(0.01)


def install_program(folder: Path) -> Path:
    """Write the command ``fake-agent`` into *folder*, which then goes on a PATH; gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fake-agent"
    path.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m thrum_kernel.testing.fake_runtime "$@"\n'
    )
    path.chmod(0o755)
    return path


def add_plugin(repo: Repo) -> None:
    """Let the daemon of *repo*, when it starts next, know the runtime ``fake-agent``: as a plugin of the team, trusted.

    Args:
        repo: initialised, or to be used without ``thrum init``.
    """
    file = file_of(repo.main, PLUGIN)
    file.parent.mkdir(exist_ok=True)
    file.write_text(_TEAM_FILE)
    assert file.parent.name == FOLDER
    config = repo.main / paths.THRUM_FOLDER / "config.json"
    config.parent.mkdir(exist_ok=True)
    value = jsonio.read_object(config) if config.exists() else {}
    plugins = {**value.get("plugins", {})}
    plugins["team"] = sorted({*plugins.get("team", []), PLUGIN})
    jsonio.write_object(config, {**value, "plugins": plugins})
    Trust(repo.main / ".git" / "thrum-sync").grant(file)
