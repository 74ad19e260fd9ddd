"""The kernel's own commands, in a real daemon and in process: the same output and the same exit status."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cli_program import ROOT

from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.spawner import Result, Spawner

READING = [
    "whoami",
    "whoami --json",
    "whoami --field role",
    "status --json",
    "overview",
    "overview --json",
    "team",
    "team --json",
    "team --all",
    "team local",
    "team daemons --json",
    "who-has README.md",
    "who-has README.md --json",
    "ping bob",
    "ping nobody",
    "inbox --unread",
    "inbox --unread --json",
    "inbox --unread --from @bob --page 2",
    "inbox --page 0",
    "inbox --scope nonsense",
    "sent",
    "sent --json",
    "message get msg_00000000000000000000000000",
    "message read",
    "thread list",
    "thread list --json",
    "thread show thr_00000000000000000000000000",
    "search hello",
    "search hello --json",
    "subscriptions --json",
    "agent list",
    "agent list --json",
    "agent context --json",
    "agent delete nobody --force",
    "agent cleanup --dry-run --json",
    "session list --json",
    "context show",
    "context show --agent ../../etc/passwd",
    "config show --json",
    "sync status --json",
    "log verify --json",
    "version --json",
    "single-agent-mode",
    "purge",
    "purge --before yesterday-ish",
    "daemon status --json",
]
WRITING = [
    "send hello --to @bob",
    "send hello --to @bob --json",
    "send hello --to @bob --to @bob --json",
    "send hello --to @nobody",
    "send --to @bob",
    "send hello --to @bob --structured not-json",
    "send --stdin --to @bob",
    "send --body-file missing.txt --to @bob",
    "send --everyone hello",
    "reply msg_00000000000000000000000000 hi",
    "agent set-status working",
    "agent set-status asleep",
    "session heartbeat --json",
    "session set-intent testing --json",
    "wait --timeout 50ms",
    "wait --timeout soon",
]

_CHANGING = (
    (re.compile(r"\b(msg|ses|evt|thr|grp|d)_[0-9A-HJKMNP-TV-Z]{26}"), r"\1_ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\b(just now|\d+(\.\d+)?(ms|s|m)( ago)?)\b"), "AGO"),
    (
        re.compile(r'("(?:uptime|uptime_ms|duration_ms|pid|connections|bytes|files|lag_s)": )[^,\n]+'),
        r"\1N",
    ),
)


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory, script: Path) -> Iterator[tuple[Cli, Cli]]:
    """A repository with the agents alice, where one stands, and bob; the command in the daemon and in process."""
    repo = Repo.housed(tmp_path_factory.mktemp("kernel"), PYTHONPATH=str(ROOT))
    spawner = Spawner()
    cli = Cli(spawner, repo.path, repo.env, (str(script),))
    try:
        cli("init", "--non-interactive")
        _register(cli, "alice")
        other = repo.worktree("bobs")
        _register(cli.at(other.path), "bob")
        cli.at(other.path)("send", "hello alice", "--to", "@alice")
        cli.at(other.path)("sync", "force")  # what is told of files does not change by itself any more
        yield cli, replace(cli, program=(sys.executable, "-m", "thrum_kernel"))
    finally:
        stop_daemon(cli)
        spawner.close()


def _register(cli: Cli, name: str) -> None:
    cli("quickstart", "--name", name, "--role", "tester", "--module", "all")


def same(ways: tuple[Cli, Cli], line: str) -> tuple[int, str, str]:
    """Run a command both ways; what came of it, without what is another each time."""
    inside, outside = (_settled(cli.run(*line.split(), stdin=b"from standard input")) for cli in ways)
    assert inside == outside
    return inside


def _settled(result: Result) -> tuple[int, str, str]:
    out, err = result.out, result.err
    for pattern, word in _CHANGING:
        out, err = pattern.sub(word, out), pattern.sub(word, err)
    return result.status, out, err


@pytest.mark.parametrize("line", READING)
def test_looking_both_ways(ways: tuple[Cli, Cli], line: str) -> None:
    status, out, err = same(ways, line)

    assert out or err
    assert "internal error" not in err
    if status and "daemon status" not in line:
        assert err.startswith("Error: ") or "timeout" in err.lower()


@pytest.mark.parametrize("line", WRITING)
def test_changing_both_ways(ways: tuple[Cli, Cli], line: str) -> None:
    _, out, err = same(ways, line)

    assert out or err
    assert "internal error" not in err


def test_a_name_in_the_environment_selects_both_ways(ways: tuple[Cli, Cli]) -> None:
    shared = Repo(ways[0].cwd, ways[0].cwd, ways[0].env).worktree("shared").path
    for name in ("carol", "dave"):
        ways[0].at(shared)("quickstart", "--name", name, "--role", "tester", "--module", "all")

    for cli in ways:
        assert cli.at(shared, THRUM_NAME="dave")("whoami", "--field", "agent_id") == "dave\n"
        assert "carol, dave" in cli.at(shared).refused("whoami")
