"""kill -9 under load, at any moment: what was acknowledged is there after the next start, once."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from thrum_kernel import paths
from thrum_kernel.cli.lifecycle import Lifecycle
from thrum_kernel.events import EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES, MessageCreate
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.ranges import read_log
from thrum_kernel.store.tree import Tree
from thrum_kernel.testing.harness import Cli, Repo

ROUNDS = 200 if os.environ.get("THRUM_SOAK") else 10


@pytest.fixture
def team(repo: Repo, daemon: Cli) -> tuple[Cli, Cli]:
    alice, bob = (daemon.at(repo.worktree(name).path) for name in ("alice", "bob"))
    alice("quickstart", "alice", "--role", "implementer", "--module", "a")
    bob("quickstart", "bob", "--role", "reviewer", "--module", "b")
    return alice, bob


def stored_ids(sync: Path) -> list[str]:
    """Ids of all messages that the log holds, as often as they stand in it."""
    types = EventTypes(CORE_EVENT_TYPES)
    shards = frozenset(kind.name for kind in types if kind.shard == "messages")
    batches = read_log(Tree(OsDisk(), sync), message_types=shards)
    events = (types.decode(line) for batch in batches for _, _, _, line in batch)
    return ["msg_" + event.event_id[4:] for event in events if isinstance(event, MessageCreate)]


def wait_for_a_message(output: Path) -> None:
    """Return when something was acknowledged: however long a busy machine takes, a kill falls among sends."""
    deadline = time.monotonic() + 20
    while not output.exists() or b"msg_" not in output.read_bytes():
        assert time.monotonic() < deadline, "nothing was acknowledged"
        time.sleep(0.005)


def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed(
    repo: Repo, team: tuple[Cli, Cli], tmp_path: Path
) -> None:
    alice, _ = team
    lifecycle = Lifecycle(paths.find(repo.path, env=repo.env), repo.env)
    chance = random.Random(20260623)
    acknowledged: list[str] = []
    for number in range(ROUNDS):
        pid = json.loads((repo.path / ".thrum/var/thrum.pid").read_text())["pid"]
        output = tmp_path / f"round-{number}.txt"
        sender = alice.spawner.start(
            [
                sys.executable,
                Path(__file__).with_name("sender.py"),
                repo.path / ".thrum/var/thrum.sock",
                "@bob",
                "8",
            ],
            cwd=alice.cwd,
            env=alice.env,
            output=output,
        )
        wait_for_a_message(output)
        time.sleep(chance.uniform(0.0, 0.5))
        os.kill(pid, signal.SIGKILL)
        sender.wait(20)
        acknowledged += [word for word in output.read_text().split() if word.startswith("msg_")]
        lifecycle.start()

    stored = stored_ids(repo.path / ".git/thrum-sync")
    assert len(acknowledged) >= ROUNDS
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert alice.json("log", "verify")["ok"]
    assert alice.json("daemon", "status")["counts"]["messages"] == len(stored)
    unread = team[1].json("inbox", "--unread", "--page-size", "1")
    assert unread["unread"] == len(stored)
