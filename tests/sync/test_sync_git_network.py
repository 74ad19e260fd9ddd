"""Three daemons, a remote behind a real transport that goes away and comes back, and daemons that are killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sync_copies import Project, bare, converge, projects, until

from thrum_kernel.testing.spawner import Spawner

STEPS = 200 if os.environ.get("THRUM_SOAK") == "1" else 14
AGENTS = ("anna", "ben", "cleo")


class Transport:
    """``git daemon`` on this machine's loopback; `cut` and `heal` are the network's."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_up(self) -> bool:
        return self._process is not None

    def heal(self) -> None:
        if self._process is not None:
            return
        words = [
            "git",
            "daemon",
            "--reuseaddr",
            "--export-all",
            "--enable=receive-pack",
            "--listen=127.0.0.1",
        ]
        words += [f"--port={self.port}", f"--base-path={self._folder}", str(self._folder)]
        self._process = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
        until(self._answers)

    def cut(self) -> None:
        """End the transport and every exchange that it carries."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with socket.socket() as found:
            return found.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def transport(folder: Path) -> Iterator[Transport]:
    made = Transport(folder)
    try:
        made.heal()
        yield made
    finally:
        made.cut()


class Run:
    """One run; what was acknowledged is in `texts` by message id."""

    def __init__(self, sides: list[Project], net: Transport, seed: int) -> None:
        self.random = random.Random(seed)
        self.sides = sides
        self.net = net
        self.texts: dict[str, str] = {}
        self.mine: list[list[str]] = [[] for _ in sides]

    def step(self, count: int) -> None:
        number = self.random.randrange(len(self.sides))
        side, mine = self.sides[number], self.mine[number]
        what = self.random.choices(
            ["send", "edit", "delete", "read", "sync", "kill", "cut", "heal"], [8, 3, 2, 3, 5, 2, 2, 3]
        )[0]
        if what == "send" or (what in ("edit", "delete") and not mine):
            to = self.random.choice([f"@{name}" for name in AGENTS])
            text = f"text {count} of {number}"
            sent = side.cli.json("send", text, "--to", to)
            self.texts[sent["message_id"]] = text
            mine.append(sent["message_id"])
        elif what == "edit":
            message = self.random.choice(mine)
            self.texts[message] = f"edited {count} of {number}"
            side.cli("message", "edit", message, self.texts[message])
        elif what == "delete":
            message = mine.pop(self.random.randrange(len(mine)))
            side.cli("message", "delete", message, "--force")
            del self.texts[message]
        elif what == "read":
            side.cli("inbox", "--page-size", "100")
        elif what == "sync":
            side.cli.run("sync", "force")  # it may be cut off
        elif what == "kill":
            if side.cli.json("daemon", "status").get("running"):
                os.kill(side.pid, signal.SIGKILL)  # the next command starts it again
        elif what == "cut":
            self.net.cut()
        else:
            self.net.heal()


def held(side: Project) -> dict[str, str]:
    """Every message that counts here, with its text; an id that came twice would be two rows."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(side.path / ".thrum/var/messages.db")) as db:
        rows = db.execute("SELECT message_id, body_content FROM messages WHERE NOT deleted").fetchall()
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_three_daemons_come_to_the_same_messages_through_cuts_and_kills(
    tmp_path: Path, isolated_home: dict[str, str], thrum_spawner: Spawner
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    with transport(origin.path.parent) as net, projects(origin, thrum_spawner) as there:
        url = f"git://127.0.0.1:{net.port}/origin.git"
        sides = [there.clone(f"side{number}", name, url=url) for number, name in enumerate(AGENTS)]
        for side in sides:
            side.cli("config", "set", "daemon.sync.public_exposure_override", "127.0.0.1/origin")
        converge(*sides)
        run = Run(sides, net, seed=1)
        for count in range(STEPS):
            run.step(count)
        net.heal()
        converge(*sides)
        for side in sides:
            assert held(side) == run.texts
            assert side.team() == sides[0].team()
            verified = side.cli.json("log", "verify")
            assert all(problem["kind"] == "quarantined" for problem in verified["problems"]), verified


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")
def test_a_daemon_without_any_network_says_so_and_loses_nothing(
    tmp_path: Path, isolated_home: dict[str, str], thrum_spawner: Spawner
) -> None:
    allowed = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("this machine does not let us make network namespaces")
    origin = bare(tmp_path / "host", isolated_home)
    with transport(origin.path.parent) as net, projects(origin, thrum_spawner) as there:
        url = f"git://127.0.0.1:{net.port}/origin.git"
        one = there.clone("one", "anna", url=url)
        one.cli("config", "set", "daemon.sync.public_exposure_override", "127.0.0.1/origin")
        one.cli("sync", "force")
        one.cli("daemon", "stop")
        cli = one.cli
        one.cli = type(cli)(cli.spawner, cli.cwd, cli.env, ("unshare", "-n", *cli.program))
        one.cli("daemon", "start")
        one.cli("send", "from the island", "--to", "@anna")
        forced = one.cli.json("sync", "force")
        assert forced["sync_state"] == "error" and "cannot reach origin" in forced["last_error"]
        one.cli("daemon", "stop")
        one.cli = cli
        one.cli("daemon", "start")
        assert one.cli.json("sync", "force")["sync_state"] == "synced"
        assert "from the island" in held(one).values()
