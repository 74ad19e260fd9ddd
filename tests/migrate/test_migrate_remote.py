"""The command as a person types it, and the remote's branch: kept, replaced when asked for, one log for all clones."""

from __future__ import annotations

import json
import time
from pathlib import Path

import migrate_layouts as layouts
from migrate_house import project
from migrate_team import Team

from thrum_kernel.migrate.aside import REPLACED
from thrum_kernel.sync.takeover import NOTICE
from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.spawner import Spawner


def test_the_command_counts_brings_over_and_is_offered(cli: Cli, repo: Repo) -> None:
    team = Team(messages=6)
    layouts.last_version(repo, team)
    project(repo)
    refused = cli.refused("init", "--non-interactive")
    assert "messages of an earlier Thrum are here: thrum migrate" in refused
    findings = cli.run("doctor", "--json").out
    assert "thrum migrate --dry-run" in findings

    text = cli("migrate", "--dry-run")
    assert "Dry run — nothing was written." in text and "monitors 1" in text
    cli("migrate", "--dry-run", "--from", "branch")
    assert "neither a layout nor a path" in cli.refused("migrate", "--from", "nowhere")
    done = cli.json("migrate")

    counts = {row["kind"]: row["after"] for row in done["rows"]}
    assert counts["messages"] == team.counts()["message.create"]
    assert "git branch -D a-sync" in done["removable"]
    assert cli.json("migrate")["rows"][0]["new"] == 0
    cli("daemon", "start")
    assert cli.json("migrate")["rows"][0]["new"] == 0  # it is stopped meanwhile
    assert cli.json("daemon", "status")["counts"]["messages"] == counts["messages"]
    assert "were brought over" in cli.run("doctor").out


def test_init_says_that_messages_of_an_earlier_thrum_are_here(cli: Cli, repo: Repo) -> None:
    layouts.monolith(repo, Team(messages=4))

    done = cli.json("init", "--non-interactive", "--no-daemon")

    assert "init.next-migrate" in json.dumps(done)


def test_two_clones_migrate_and_exchange_one_set_through_a_branch_that_was_replaced(
    tmp_path: Path, isolated_home: dict[str, str], thrum_spawner: Spawner
) -> None:
    team = Team(messages=8)
    seed = Repo.make(tmp_path / "seed", isolated_home)
    layouts.flat_branch(seed, team)
    origin = tmp_path / "origin.git"
    seed.git("clone", "-q", "--bare", ".", str(origin))
    old = seed.git("rev-parse", "a-sync")
    clis = []
    for name in ("one", "two"):
        seed.git("clone", "-q", str(origin), str(tmp_path / name))
        clone = Repo(tmp_path / name, tmp_path / name, seed.env)
        clis.append(Cli(thrum_spawner, clone.path, clone.env))
    one, two = clis
    try:
        for cli in clis:
            cli("init", "--non-interactive", "--no-daemon")
            cli("migrate")
        one("daemon", "start")
        deadline = time.monotonic() + 30
        while "was not written by this program" not in one("sync", "status"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert seed.git("ls-remote", str(origin), "refs/heads/a-sync").split()[0] == old

        old = _write_late(seed, team, origin)
        done = one.json("migrate", "--replace-remote")
        written = {row["kind"]: (row["before"], row["new"], row["after"]) for row in done["rows"]}
        many = team.counts()["message.create"]
        assert written["messages"] == (many - 1, 1, many)
        assert one.json("sync", "status")["sync_state"] != "error"
        assert one.json("migrate", "--replace-remote")["remote"]["kept_as"] == ""
        _forced(one)
        two("daemon", "start")
        _forced(two)

        kept = done["remote"]["kept_as"]
        assert kept.startswith(REPLACED)
        assert seed.git("ls-remote", str(origin), f"refs/heads/{kept}").split()[0] == old
        names = seed.git("--git-dir", str(origin), "ls-tree", "-r", "--name-only", "a-sync").splitlines()
        assert "FORMAT" in names and NOTICE in names and "events.jsonl" not in names
        seed.git("--git-dir", str(origin), "merge-base", "--is-ancestor", old, "a-sync")
        files = [_published(tmp_path / name) for name in ("one", "two")]
        assert files[0] == files[1] and files[0] <= set(names)
        for cli in clis:
            assert cli.json("daemon", "status")["counts"]["messages"] == team.counts()["message.create"]
            assert cli.json("migrate")["rows"][0]["new"] == 0
        seed.git("clone", "-q", str(origin), str(tmp_path / "three"))
        clis.append(Cli(thrum_spawner, tmp_path / "three", seed.env))
        assert "init.next-migrate" not in json.dumps(clis[2].json("init", "--non-interactive"))
        assert "earlier" not in {
            each["subject"] for each in json.loads(clis[2].run("doctor", "--json").out)["findings"]
        }
    finally:
        for cli in clis:
            stop_daemon(cli)


def _write_late(seed: Repo, team: Team, origin: Path) -> str:
    """A message that a colleague's earlier program pushes after everybody here fetched; the branch's commit."""
    late = team.send("coord", "late", to=["impl_api"], refs=[{"type": "mention", "value": "impl_api"}])
    event = next(event for event in team.events if event.get("message_id") == late)
    worktree = seed.path / ".git" / "thrum-sync" / "a-sync"
    with (worktree / team.shard(event)).open("ab") as file:
        file.write(team.line(event))
    seed.git("-C", str(worktree), "commit", "-qam", "late")
    seed.git("push", "-q", str(origin), "a-sync")
    return seed.git("rev-parse", "a-sync")


def _forced(cli: Cli) -> str:
    """What a status says after the daemon exchanged with the remote."""
    cli("daemon", "start")
    cli.run("sync", "force")
    return cli.run("sync", "status").out


def _published(repo: Path) -> set[str]:
    folder = repo / ".git" / "thrum-sync" / "a-sync"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.jsonl")}
