"""Three daemons, a remote behind a real transport that goes away and comes back, and daemons that are killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sync_copies import Project, bare, converge, projects

from thrum_kernel.testing.harness import Cli
from thrum_kernel.testing.spawner import Spawner
from thrum_kernel.testing.waiting import until

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
    """One run; what was acknowledged is in `texts` by message id, and `times` says when; `purged` went on purpose."""

    def __init__(self, sides: list[Project], net: Transport | None, seed: int) -> None:
        self.random = random.Random(seed)
        self.sides = sides
        self.net = net
        self.texts: dict[str, str] = {}
        self.times: dict[str, str] = {}
        self.purged: set[str] = set()
        self.mine: list[list[str]] = [[] for _ in sides]

    def step(self, count: int) -> None:
        number = self.random.randrange(len(self.sides))
        side, mine = self.sides[number], self.mine[number]
        what = self.random.choices(
            ["send", "edit", "delete", "read", "sync", "kill", "cut", "heal", "purge"],
            [8, 3, 2, 3, 5, 2, 2, 3, 0.5],
        )[0]
        if what == "send" or (what in ("edit", "delete") and not mine):
            to = self.random.choice([f"@{name}" for name in AGENTS])
            text = f"text {count} of {number};"
            sent = side.cli.json("send", text, "--to", to)
            self.texts[sent["message_id"]] = text
            self.times[sent["message_id"]] = sent["created_at"]
            mine.append(sent["message_id"])
        elif what == "purge":
            self.purge(number)
        elif what == "edit":
            message = self.random.choice(mine)
            self.texts[message] = f"edited {count} of {number};"
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
            assert self.net is not None
            self.net.cut()
        else:
            assert self.net is not None
            self.net.heal()

    def purge(self, number: int) -> None:
        """One side has everything from before its newest message removed, everywhere, be others in reach or not."""
        if not self.mine[number]:
            return
        cutoff = self.times[self.mine[number][-1]]
        self.sides[number].cli("purge", "--before", cutoff, "--confirm")
        for message in [each for each in self.texts if self.times[each] < cutoff]:
            self.purged.add(self.texts.pop(message))
            for mine in self.mine:
                mine[:] = [each for each in mine if each != message]

    def leftovers(self) -> list[str]:
        """Files of any side that still hold a text that was purged; git's own objects are compressed."""
        words = [text.encode() for text in self.purged]
        folders = [folder for side in self.sides for folder in (side.sync, side.path / ".thrum")]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return [
            str(path) for path in files if path.exists() and any(word in path.read_bytes() for word in words)
        ]


_HELD = "SELECT message_id, body_content FROM messages WHERE NOT deleted AND agent_id <> 'daemon'"


def held(side: Project) -> dict[str, str]:
    """Every message that counts here, with its text; an id that came twice would be two rows.

    What the daemon tells of a purge is left out: how often depends on who exchanged when.
    """
    import sqlite3

    with contextlib.closing(sqlite3.connect(side.path / ".thrum/var/messages.db")) as db:
        rows = db.execute(_HELD).fetchall()
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
        net.cut()
        for count, number in enumerate((0, 1, 0)):
            run.mine[number].append(tell(run, number, f"cut off {count};"))
        run.purge(0)  # nobody else hears of it, and goes on writing
        run.mine[1].append(tell(run, 1, "of the purge nothing is known here;"))
        net.heal()
        converge(*sides)
        assert run.purged
        until(lambda: run.leftovers() == [])
        for side in sides:
            assert held(side) == run.texts
            assert side.team() == sides[0].team()
            verified = side.cli.json("log", "verify")
            assert all(problem["kind"] == "quarantined" for problem in verified["problems"]), verified


def tell(run: Run, number: int, text: str) -> str:
    """A message to all; its id."""
    sent = run.sides[number].cli.json("send", text, "--broadcast")
    message = str(sent["message_id"])
    run.texts[message], run.times[message] = text, sent["created_at"]
    return message


class Islands:
    """Network namespaces, each joined to one in which the remote is served by a pair of virtual cables.

    Attributes:
        url: of the remote.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._names = [f"thrum{os.getpid()}n{number}" for number in range(count + 1)]
        self._cables = [f"t{os.getpid()}c{number}" for number in range(count)]
        self._host: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self.url = "git://192.0.2.1:9418/origin.git"

    def __enter__(self) -> Islands:
        host = self._names[-1]
        for name in self._names:
            ip("netns", "add", name)
        ip("-n", host, "link", "add", "bridge0", "type", "bridge")
        ip("-n", host, "addr", "add", "192.0.2.1/24", "dev", "bridge0")
        ip("-n", host, "link", "set", "bridge0", "up")
        for number, cable in enumerate(self._cables):
            ip(
                "link",
                "add",
                cable,
                "netns",
                host,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                self._names[number],
            )
            ip("-n", host, "link", "set", cable, "master", "bridge0", "up")
            ip("-n", self._names[number], "addr", "add", f"192.0.2.{number + 10}/24", "dev", "eth0")
            ip("-n", self._names[number], "link", "set", "eth0", "up")
        words = ["git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack"]
        words += [f"--base-path={self._folder}", str(self._folder)]
        self._host = subprocess.Popen(
            ["ip", "netns", "exec", host, *words], start_new_session=True, stderr=subprocess.DEVNULL
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._host is not None:
            os.killpg(self._host.pid, signal.SIGKILL)
            self._host.wait()
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def plug(self, number: int, *, out: bool = False) -> None:
        """Put the cable of one namespace in, or pull it out."""
        ip("-n", self._names[-1], "link", "set", self._cables[number], "down" if out else "up")

    def inside(self, number: int, cli: Cli) -> Cli:
        """*cli*, for commands and daemons of one namespace; ``ip netns exec`` would make one of mounts, too."""
        program = ("nsenter", f"--net=/run/netns/{self._names[number]}", *cli.program)
        return type(cli)(cli.spawner, cli.cwd, cli.env, program)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def can_have_namespaces() -> bool:
    """Whether this machine has what `Islands` need, and lets us."""
    name = f"thrum{os.getpid()}try"
    if os.geteuid() or not (shutil.which("ip") and shutil.which("nsenter")):
        return False
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode == 0
    if made:
        ip("netns", "del", name)
    return made


@pytest.mark.skipif(os.environ.get("THRUM_SOAK") != "1", reason="half a minute of daemons: make soak")
def test_three_daemons_in_network_namespaces_of_their_own_come_to_the_same_messages(
    tmp_path: Path, isolated_home: dict[str, str], thrum_spawner: Spawner
) -> None:
    if not can_have_namespaces():
        pytest.skip("this machine does not let us make network namespaces")
    origin = bare(tmp_path / "host", isolated_home)
    with Islands(origin.path.parent, 3) as islands, projects(origin, thrum_spawner) as there:
        sides = []
        for number, name in enumerate(AGENTS):
            side = there.clone(f"side{number}", name)
            side.cli("daemon", "stop")
            side.cli = islands.inside(number, side.cli)
            side.repo.git("remote", "set-url", "origin", islands.url)
            side.cli("config", "set", "daemon.sync.public_exposure_override", "192.0.2.1/origin")
            side.cli("daemon", "start")
            sides.append(side)
        converge(*sides)
        run = Run(sides, None, seed=2)
        run.mine[1].append(tell(run, 1, "in reach;"))
        islands.plug(0, out=True)
        run.mine[0].append(tell(run, 0, "from the island;"))
        run.mine[1].append(tell(run, 1, "on the mainland;"))
        run.purge(1)
        forced = json.loads(sides[0].cli.run("sync", "force", "--json").out)
        assert not forced.get("pushed")  # what it waits for is not told at once where packets go nowhere
        converge(*sides[1:])
        assert held(sides[1]) == held(sides[2])
        assert "from the island;" not in held(sides[1]).values()
        islands.plug(0)
        until(lambda: sides[0].cli.run("sync", "force").status == 0)
        converge(*sides)
        until(lambda: run.leftovers() == [])
        for side in sides:
            assert held(side) == run.texts
            assert side.cli.json("log", "verify")["ok"]


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
        result = one.cli.run("sync", "force", "--json")
        assert result.status == 1 and "Error: nothing was exchanged: cannot reach origin" in result.err
        forced = json.loads(result.out)
        assert (
            forced["failed"]
            and forced["sync_state"] == "error"
            and "cannot reach origin" in forced["last_error"]
        )
        one.cli("daemon", "stop")
        one.cli = cli
        one.cli("daemon", "start")
        assert one.cli.json("sync", "force")["sync_state"] == "synced"
        assert "from the island" in held(one).values()
