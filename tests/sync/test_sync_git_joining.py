"""Real daemons and the installed command: a second clone joins the first one's messages."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from sync_clones import bare, clone_of, fingerprint, serving

from thrum_kernel.cli.commands.init_steps import is_kept_local
from thrum_kernel.sync import joining
from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.spawner import Spawner


@pytest.fixture
def origin(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    return bare(tmp_path / "host", isolated_home)


def clone(origin: Repo, name: str, *flags: str) -> Repo:
    path = origin.path.parent / name
    origin.git("clone", "-q", *flags, f"file://{origin.path}", str(path))
    return Repo(path, path, origin.env)


def config_of(repo: Repo) -> dict[str, object]:
    found: dict[str, object] = json.loads((repo.path / ".thrum/config.json").read_text())["daemon"]
    return found


def test_a_second_clone_joins_and_messages_go_both_ways(origin: Repo, thrum_spawner: Spawner) -> None:
    first = clone(origin, "one")
    one = Cli(thrum_spawner, first.path, first.env)
    try:
        told = one("init", "--non-interactive", "--stealth")
        assert "Joined" not in told and config_of(first)["local_only"] is True
        assert "Mode: local-only" in one("sync", "status")
        one("quickstart", "alice", "--role", "implementer", "--module", "shop")
        one("config", "set", "daemon.local_only", "false")
        one("send", "to whom it may concern", "--to", "@alice")
        assert one.json("sync", "force")["sync_state"] == "synced"

        second = clone(origin, "two")
        two = Cli(thrum_spawner, second.path, second.env)
        try:
            before = fingerprint(second.path, without=(".git/thrum-sync", ".thrum", ".git/info/exclude"))
            began = two.run("init", "--non-interactive", "--stealth")
            told = began.out
            assert began.status == 0 and "projecting 0 %" not in began.err
            assert "✓ Joined the messages of origin (1 message, 1 agent)" in told
            assert config_of(second)["local_only"] is False
            assert (
                fingerprint(second.path, without=(".git/thrum-sync", ".thrum", ".git/info/exclude")) == before
            )
            assert "Mode: normal" in two("sync", "status")
            two("config", "set", "daemon.sync_interval", "2")
            two("quickstart", "bob", "--role", "reviewer", "--module", "shop")
            two("send", "hello from two", "--to", "@alice")
            assert "pushed)" in two("sync", "force")
            told = one("sync", "force")
            assert "received" in told and "Remote:" in told and "Mode: normal" in told
            assert "hello from two" in one("inbox")
            one("send", "hello from one", "--to", "@bob")
            deadline = time.monotonic() + 30
            while "hello from one" not in two("inbox"):  # by the loops alone
                assert time.monotonic() < deadline
                time.sleep(0.2)
            doctor = two.run("doctor", "--json")
            told = next(
                each["text"]
                for each in json.loads(doctor.out)["findings"]
                if "your own git fetch" in each["text"]
            )
            assert "^refs/heads/a-sync" in told and "remote.origin.fetch" in told
            second.git("config", "--add", "remote.origin.fetch", "^refs/heads/a-sync")
            assert "your own git fetch" not in two.run("doctor", "--json").out
            away = origin.path.rename(origin.path.with_name("away.git"))
            failed = two.run("sync", "force")
            assert failed.status == 1 and "Error: nothing was exchanged: cannot reach origin" in failed.err
            assert failed.out.startswith("Sync failed") and "Hint: messages wait here" in failed.err
            answer = two.run("sync", "force", "--json")
            assert answer.status == 1 and json.loads(answer.out)["failed"]
            away.rename(origin.path)
            assert two.json("sync", "force")["sync_state"] == "synced"
            assert two.json("log", "verify")["ok"] and one.json("log", "verify")["ok"]
        finally:
            stop_daemon(two)
    finally:
        stop_daemon(one)


def test_a_force_that_fails_tells_what_to_do_about_it(origin: Repo) -> None:
    origin.git("branch", "a-sync", "main")  # another program's

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            found = await one.force()
            assert found["failed"] and "was not written by this program" in found["last_error"]
            assert "thrum migrate --replace-remote" in found["remedy"]
            origin.git("branch", "-D", "a-sync")
            found = await one.force()
            assert found["sync_state"] == "synced" and not {"failed", "remedy"} & found.keys()

    asyncio.run(story())


def test_init_s_dry_run_looks_and_writes_nothing(origin: Repo, thrum_spawner: Spawner) -> None:
    origin.git("branch", "a-sync", "main")
    repo = clone(origin, "one")
    before = fingerprint(repo.path)
    told = Cli(thrum_spawner, repo.path, repo.env)("init", "--dry-run")
    assert "no files written" in told and fingerprint(repo.path) == before


@pytest.mark.parametrize("flags", [(), ("--single-branch",), ("--depth=1",)])
def test_whether_there_is_a_log_to_join(origin: Repo, flags: tuple[str, ...]) -> None:
    repo = clone(origin, "before", *flags)
    assert joining.look(repo.path, environ=repo.env) == ("origin", False, "")
    origin.git("branch", "a-sync", "main")
    repo = clone(origin, "after", *flags)
    assert joining.look(repo.path, environ=repo.env) == ("origin", True, "")
    assert not (repo.path / ".git/thrum-sync").exists()


def test_a_clone_that_knows_the_branch_asks_nobody(origin: Repo) -> None:
    origin.git("branch", "a-sync", "main")
    repo = clone(origin, "one")
    origin.path.rename(origin.path.with_name("away.git"))
    assert joining.look(repo.path, environ=repo.env).has_branch
    repo.git("update-ref", "-d", "refs/remotes/origin/a-sync")
    found = joining.look(repo.path, environ=repo.env)
    assert not found.has_branch and "cannot reach origin" in found.problem


def test_without_a_remote_there_is_nothing_to_join(repo: Repo, tmp_path: Path) -> None:
    assert joining.look(repo.path, environ=repo.env) == joining.Found()
    assert joining.look(tmp_path, environ=repo.env) == joining.Found()


@pytest.mark.parametrize(
    ("value", "kept"), [("1", True), ("true", True), ("0", False), ("", False), ("off", False)]
)
def test_thrum_local(value: str, kept: bool) -> None:
    assert is_kept_local({"THRUM_LOCAL": value}) is kept and not is_kept_local({})
