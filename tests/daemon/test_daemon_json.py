"""Every command of the tree prints exactly one JSON value with ``--json``: a command without an entry here fails."""

from __future__ import annotations

import json

import pytest
from daemon_house import House

from thrum_kernel.cli.app import kernel_tree

LOOKING: dict[str, tuple[str, ...]] = {
    "agent context": (),
    "agent list": (),
    "agent whoami": (),
    "completion": ("bash",),
    "config show": (),
    "context preamble": (),
    "context show": (),
    "daemon logs": (),
    "doctor": (),
    "daemon start": (),
    "daemon status": (),
    "daemon unit": (),
    "help": (),
    "inbox": (),
    "log replay": ("--to", "1s"),
    "log show": (),
    "log verify": (),
    "message get": ("{message}",),
    "overview": (),
    "ping": ("@bob",),
    "plugin list": (),
    "prime": (),
    "search": ("hello",),
    "sent": (),
    "session list": (),
    "single-agent-mode": (),
    "status": (),
    "subscriptions": (),
    "sync held": (),
    "sync status": (),
    "team": (),
    "team daemons": (),
    "team local": (),
    "thread list": (),
    "thread show": ("{thread}",),
    "version": (),
    "who-has": ("README.md",),
    "whoami": (),
}
CHANGING: dict[str, tuple[str, ...]] = {
    "unsubscribe": ("{subscription}",),
    "agent cleanup": ("--dry-run",),
    "agent heartbeat": (),
    "agent register": ("--name", "alice", "--role", "implementer", "--module", "shop"),
    "agent set-intent": ("testing",),
    "agent set-status": ("working",),
    "agent set-task": ("testing",),
    "config set": ("daemon.sync_interval", "70"),
    "context clear": (),
    "context save": (),
    "context sync": (),
    "daemon token": (),
    "message edit": ("{message}", "another text"),
    "message read": ("--all",),
    "purge": ("--before", "30d"),
    "quickstart": ("alice", "--role", "implementer", "--module", "shop"),
    "reply": ("{message}", "an answer"),
    "send": ("hello", "--to", "@bob"),
    "session heartbeat": (),
    "session set-intent": ("testing",),
    "session set-task": ("testing",),
    "session start": (),
    "subscribe": ("--all",),
    "sync force": (),
    "sync gc": ("--dry-run",),
    "sync release": ("--all",),
    "thread create": ("a title",),
    "wait": ("--timeout", "1s", "--after=-1h"),
    # these come last, in this order
    "message delete": ("{message}", "--force"),
    "session end": (),
    "agent start": (),
    "agent end": (),
    "setup claude-md": (),
    "init": ("--dry-run", "--force"),
    "migrate": ("--dry-run",),
    "setup": ("{worktree}",),
    "agent delete": ("alice", "--force"),
    "daemon restart": (),
    "daemon stop": (),
}
NOT_HERE = {
    "daemon adopt": "needs a log from elsewhere: tests/settings",
    "agent adopt": "needs another daemon: tests/agents",
    "agent move": "needs another daemon: tests/agents",
}


def every_command() -> set[str]:
    """What the kernel has; of ``plugin …``, most of which need a plugin, tests/plugins has the rest."""
    found = {
        " ".join(words) for words, command in kernel_tree().root.commands() if words and not command.hidden
    }
    return {name for name in found if not name.startswith("plugin ") or name == "plugin list"}


def test_every_command_is_listed_here() -> None:
    listed = {*LOOKING, *CHANGING, *NOT_HERE}

    assert every_command() == listed


@pytest.fixture(scope="module")
def known(house: House) -> dict[str, str]:
    """Ids for the places held open above."""
    message = house.alice.json("send", "hello there", "--to", "@bob")["message_id"]
    thread = house.alice.json("thread", "create", "first title", "--to", "@bob", "--message", "hi")[
        "thread_id"
    ]
    subscription = house.alice.json("subscribe", "--all")["subscription_id"]
    house.bob("send", "for alice", "--to", "@alice")
    worktree = house.repo.worktree("later").path
    return {
        "message": message,
        "thread": thread,
        "subscription": str(subscription),
        "worktree": str(worktree),
    }


def one_value(house: House, known: dict[str, str], words: list[str], stdin: bytes = b"some text\n") -> object:
    done = house.alice.run(*words, "--json", stdin=stdin)
    assert "Traceback" not in done.err, done.err
    assert done.status in ((0, 1) if words[0] == "doctor" else (0,)), (words, done.out, done.err)  # it judges
    return json.loads(done.out)  # fails on none, on more than one and on anything around it


def filled(words: tuple[str, ...], known: dict[str, str]) -> list[str]:
    return [word.format(**known) if word.startswith("{") else word for word in words]


@pytest.mark.parametrize("name", LOOKING)
def test_looking(house: House, known: dict[str, str], name: str) -> None:
    one_value(house, known, [*name.split(), *filled(LOOKING[name], known)])


@pytest.mark.parametrize("name", CHANGING)
def test_changing(house: House, known: dict[str, str], name: str) -> None:
    one_value(house, known, [*name.split(), *filled(CHANGING[name], known)])
