"""``thrum doctor``: every check finds what it is for, names what mends it, and mends only what is safe."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from briefing_project import Kept

from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.checkups import KERNEL, machine, people, project, travel
from thrum_kernel.briefing.doctor import Appointment, Ground, examine
from thrum_kernel.cli import checkups
from thrum_kernel.cli.app import kernel_tree
from thrum_kernel.paths import Paths, find
from thrum_kernel.settings.core import Sync
from thrum_kernel.settings.document import SettingsFile
from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.site import Site
from thrum_kernel.testing.spawner import Spawner


def findings(cli: Cli, *words: str) -> list[dict[str, str]]:
    """What doctor finds, whatever it ends with."""
    found: list[dict[str, str]] = json.loads(cli.run("doctor", "--json", *words).out)["findings"]
    return found


def about(found: list[dict[str, str]], subject: str) -> list[dict[str, str]]:
    return [each for each in found if each["subject"] == subject]


def only(cli: Cli, subject: str, *words: str) -> dict[str, str]:
    (found,) = about(findings(cli, *words), subject)
    return found


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner, kernel_alone: dict[str, str]
) -> Kept:
    """An initialised project with alice in it, who said something that is published; its daemon was stopped."""
    kept = Kept.make(tmp_path_factory.mktemp("doctor"), kernel_alone)
    cli = Cli(thrum_spawner, kept.repo.path, kept.repo.env)
    cli("init", "--non-interactive")
    try:
        cli("quickstart", "alice", "--role", "implementer", "--module", "auth")
        cli("send", "hello", "--to", "@everyone")
        cli("sync", "force")
    finally:
        stop_daemon(cli)
    kept.keep("stopped")
    return kept


@pytest.fixture
def repo(kept: Kept) -> Repo:
    """The project of `kept`, as it was."""
    kept.restore("stopped")
    return kept.repo


@pytest.fixture
def stopped(cli: Cli) -> Cli:
    """Typed in it."""
    return cli


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner, kernel_alone: dict[str, str]
) -> Iterator[Repo]:
    """Another project with alice in it, whose daemon runs; for tests that change nothing."""
    folder = tmp_path_factory.mktemp("running")
    repo = Repo.make(folder / "project", kernel_alone)
    cli = Cli(thrum_spawner, repo.path, repo.env)
    cli("init", "--non-interactive")
    cli("quickstart", "alice", "--role", "implementer", "--module", "auth")
    yield repo
    stop_daemon(cli)


@pytest.fixture
def daemon(running: Repo, thrum_spawner: Spawner) -> Cli:
    """Typed in that one."""
    return Cli(thrum_spawner, running.path, running.env)


# --- the frame -------------------------------------------------------------------------------------------------------


def bad(text: str) -> Finding:
    return Finding("x", "error", text, "mend it")


def appoint(look: Any, fix: Any = None, limit_s: float = 5.0, owner: str = "") -> Appointment:
    return Appointment(Check(subject="x", look=look, fix=fix), None, limit_s, owner)


def test_a_check_that_raises_or_hangs_is_a_finding_and_costs_the_others_nothing() -> None:
    release = threading.Event()

    def raises(ctx: Any) -> Any:
        raise RuntimeError("broken")

    def hangs(ctx: Any) -> Any:
        release.wait()
        return []

    fine = appoint(lambda ctx: [Finding("x", "ok", "fine")])
    try:
        found = examine([appoint(raises, owner="acme"), appoint(hangs, limit_s=0.05), fine]).findings
    finally:
        release.set()
    assert [(each.level, each.text) for each in found] == [
        ("error", "plugin acme: not known: RuntimeError: broken"),
        ("error", "not known: the check took longer than 0.05 s"),
        ("ok", "fine"),
    ]
    assert found[0].remedy == "thrum plugin show acme"


def test_fixing_mends_looks_again_and_says_what_was_done() -> None:
    wrong = {"a", "b"}

    def look(ctx: Any) -> list[Finding]:
        return [bad(each) for each in sorted(wrong)] or [Finding("x", "ok", "fine")]

    def fix(ctx: Any, finding: Finding) -> str:
        if finding.text == "b":
            raise OSError("read-only")
        wrong.discard(finding.text)
        return f"mended {finding.text}"

    assert examine([appoint(look, fix)]).count("error") == 2
    mended = examine([appoint(look, fix)], fix=True)
    assert [each.text for each in mended.findings] == ["b"]
    assert mended.fixed == ["x: mended a", "x: cannot be mended: read-only"]


def test_every_check_of_the_kernel_says_nothing_or_its_subject_where_there_is_no_project(
    tmp_path: Path,
) -> None:
    ground = Ground(cwd=tmp_path, env=dict(os.environ), missing="not here")
    for check in KERNEL:
        for finding in check.look(ground):
            assert finding.subject == check.subject


# --- the whole -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["daemon", "stopped"])
def test_all_is_well_with_a_daemon_and_without(request: pytest.FixtureRequest, where: str) -> None:
    ran = request.getfixturevalue(where).run("doctor", "--json")
    told = json.loads(ran.out)
    assert (ran.status, told["ok"], told["errors"]) == (0, True, 0), told
    subjects = {each["subject"] for each in told["findings"]}
    assert subjects >= {
        "git", "tmux", "python", "disk", "clock", "paths", "permissions", "config", "identities",
        "log", "quarantine", "tables", "sync", "exposure", "secrets", "budget", "worktrees", "daemon", "socket",
        "gitignore", "plugins",
    }  # fmt: skip


def test_outside_a_project_it_says_what_to_do_and_fails(cli: Cli, tmp_path: Path) -> None:
    bare = Repo.make(tmp_path / "bare", dict(cli.env))
    ran = cli.at(bare.path).run("doctor")
    assert ran.status == 1
    assert "→ thrum init" in ran.out
    assert ran.out.endswith("1 error\n") or "1 error, " in ran.out


def test_a_line_has_its_mark_and_the_command_below(stopped: Cli) -> None:
    shown = stopped("doctor")
    assert "! daemon" in shown and "→ thrum daemon start" in shown
    assert "✓ config" in shown


def test_it_starts_no_daemon(stopped: Cli, repo: Repo) -> None:
    (repo.path / ".thrum" / "var" / "stopped").unlink()
    assert only(stopped, "daemon")["text"].startswith("not running")
    assert stopped.json("daemon", "status")["running"] is False


# --- what is wrong, and what mends it --------------------------------------------------------------------------------


def test_every_mistake_in_the_configuration_is_told_at_once_with_its_key(stopped: Cli, repo: Repo) -> None:
    path = repo.path / ".thrum" / "config.json"
    config = json.loads(path.read_bytes())
    config["daemon"] |= {"sync_interval": "often", "ws_port": 99999}
    config["wurktrees"] = {}
    path.write_text(json.dumps(config))
    found = about(findings(stopped), "config")
    assert [each["text"].partition(":")[0] for each in found] == [
        "daemon.sync_interval", "daemon.ws_port", "wurktrees",
    ]  # fmt: skip
    assert found[0]["remedy"] == "thrum config set daemon.sync_interval VALUE"
    assert stopped.run("doctor").status == 1
    path.write_text('{"daemon": ')
    (damaged,) = about(findings(stopped), "config")
    assert (damaged["level"], "line 1" in damaged["text"]) == ("error", True)


def test_fix_tightens_permissions_and_takes_nothing_from_us(stopped: Cli, repo: Repo) -> None:
    thrum = repo.path / ".thrum"
    (thrum / "var").chmod(0o755)
    (thrum / "config.json").chmod(0o666)
    (thrum / "identities" / "alice.json").chmod(0o664)
    found = about(findings(stopped), "permissions")
    assert {each["level"] for each in found} == {"warning"}
    assert f"chmod 0700 {thrum}/var" in [each["remedy"] for each in found]
    told = json.loads(stopped.run("doctor", "--fix", "--json").out)
    assert len(told["fixed"]) == 3
    assert about(told["findings"], "permissions")[0]["level"] == "ok"
    for path, mode in (("var", 0o700), ("config.json", 0o644), ("identities/alice.json", 0o644)):
        assert stat.S_IMODE((thrum / path).stat().st_mode) == mode


def test_fix_clears_away_what_a_daemon_that_is_gone_left(stopped: Cli, repo: Repo) -> None:
    var = repo.path / ".thrum" / "var"
    with closing(socket.socket(socket.AF_UNIX)) as left:
        os.chdir(var)
        left.bind("thrum.sock")
    os.chdir(Path(__file__).parent)
    (var / "thrum.pid").write_text(json.dumps({"pid": 2**22 - 1, "start_time": 1.0}))
    assert only(stopped, "socket")["level"] == "warning"
    told = json.loads(stopped.run("doctor", "--fix", "--json").out)
    assert any("removed" in text for text in told["fixed"])
    assert not (var / "thrum.sock").exists() and not (var / "thrum.pid").exists()


def test_fix_never_touches_the_socket_of_a_daemon_that_runs(daemon: Cli) -> None:
    assert only(daemon, "socket", "--fix")["level"] == "ok"
    assert daemon.json("daemon", "status")["running"] is True


def test_fix_adds_the_lines_that_git_lacks_where_ours_are(stopped: Cli, repo: Repo) -> None:
    (repo.path / ".gitignore").write_text("*.pyc\n.thrum/\n")
    assert only(stopped, "gitignore")["level"] == "warning"
    assert only(stopped, "gitignore", "--fix")["level"] == "ok"
    text = (repo.path / ".gitignore").read_text()
    assert text.startswith("*.pyc\n.thrum/\n") and "scripts/thrum-startup.sh" in text


def test_fix_adds_nothing_to_gitignore_after_a_stealthy_init(cli: Cli, tmp_path: Path) -> None:
    repo = Repo.make(tmp_path / "project", dict(cli.env))
    cli = cli.at(repo.path)
    cli("init", "--stealth", "--no-daemon")
    assert only(cli, "gitignore")["level"] == "ok"
    exclude = repo.path / ".git" / "info" / "exclude"
    exclude.write_text(".thrum/\n")
    assert only(cli, "gitignore", "--fix")["level"] == "ok"
    assert not (repo.path / ".gitignore").exists()


def test_fix_writes_a_lost_folder_back(stopped: Cli, repo: Repo) -> None:
    stopped("daemon", "start")  # copies what there is
    stop_daemon(stopped)
    before = (repo.path / ".thrum" / "config.json").read_bytes()
    shutil.rmtree(repo.path / ".thrum")
    found = about(findings(stopped), "paths")
    assert found[1]["level"] == "error" and found[1]["remedy"] == "thrum doctor --fix"
    told = json.loads(stopped.run("doctor", "--fix", "--json").out)
    assert any("wrote back" in text for text in told["fixed"]), told
    assert (repo.path / ".thrum" / "config.json").read_bytes() == before
    identity = json.loads((repo.path / ".thrum" / "identities" / "alice.json").read_bytes())
    assert identity["agent"]["role"] == "implementer"


def test_identities_that_are_damaged_twice_or_elsewhere_are_told(stopped: Cli, repo: Repo) -> None:
    here = repo.path / ".thrum" / "identities"
    there = repo.worktree("other").path
    (there / ".thrum" / "identities").mkdir(parents=True)
    shutil.copy(here / "alice.json", there / ".thrum" / "identities" / "alice.json")
    (here / "bob.json").write_text("{nonsense")
    found = about(findings(stopped), "identities")
    texts = [each["text"] for each in found]
    assert any("bob.json" in text for text in texts)
    assert any("alice is registered in 2 worktrees" in text for text in texts)
    assert any(f"lives in {repo.path}" in text for text in texts)


def test_a_redirect_that_leads_elsewhere_is_told(stopped: Cli, repo: Repo, tmp_path: Path) -> None:
    there = repo.worktree("other").path
    (there / ".thrum").mkdir()
    (there / ".thrum" / "redirect").write_text(f"{tmp_path}/nowhere\n")
    found = only(stopped, "worktrees")
    assert (found["level"], "thrum setup" in found["remedy"]) == ("error", True)


def test_a_damaged_log_is_told_by_file_also_with_no_daemon(stopped: Cli, repo: Repo) -> None:
    (victim, *_) = sorted((repo.path / ".git" / "thrum-sync" / "a-sync" / "messages").rglob("*.jsonl"))
    victim.write_bytes(victim.read_bytes().replace(b"hello", b"HELLO"))
    found = about(findings(stopped), "log")
    assert found[0]["level"] == "error" and victim.name in found[0]["text"]
    assert found[0]["remedy"] == "thrum log verify"


def test_quarantine_is_told(stopped: Cli, repo: Repo) -> None:
    quarantine = repo.path / ".git" / "thrum-sync" / "quarantine"
    quarantine.mkdir(exist_ok=True)
    (quarantine / "torn").write_bytes(b"xx")
    assert only(stopped, "quarantine")["level"] == "warning"


def test_damaged_tables_are_an_error(stopped: Cli, repo: Repo) -> None:
    database = repo.path / ".git" / "thrum-sync" / "local.db"
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(database.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    database.write_bytes(data)
    assert only(stopped, "tables")["level"] == "error"


def test_a_plugin_that_failed_is_named_with_a_check_of_another_that_works(plugged: Cli, site: Site) -> None:
    site.install("bad", hooks="raise RuntimeError('at import')\n")
    site.install(
        "good",
        hooks="@hookimpl\ndef thrum_checks(ctx):\n"
        "    def look(ctx): return [Finding('good', 'warning', ctx.name, 'thrum good')]\n"
        "    def boom(ctx): raise RuntimeError('boom')\n"
        "    return [Check(subject='good', look=look, fix=lambda ctx, finding: 'done'), Check(subject='boom', look=boom)]\n",
    )
    found = findings(plugged)
    assert about(found, "good") == [
        {"subject": "good", "level": "warning", "text": "good", "remedy": "thrum good"}
    ]
    assert about(found, "boom")[0]["text"] == "plugin good: not known: RuntimeError: boom"
    assert any(each["text"].startswith("bad (acme-bad 1.0) is failed: ") for each in about(found, "plugins"))
    assert "good: done" in json.loads(plugged.run("doctor", "--fix", "--json").out)["fixed"]


def test_a_damaged_configuration_is_told_in_one_value_also_where_plugins_must_not_fail(
    plugged: Cli, site: Site, repo: Repo
) -> None:
    site.install("bad", hooks="raise RuntimeError('at import')\n")
    (repo.path / ".thrum" / "config.json").write_text('{ "daemon": ')
    done = plugged.at(repo.path, THRUM_PLUGINS_STRICT="1").run("doctor", "--json")
    found = json.loads(done.out)["findings"]
    assert (done.status, done.err) == (1, "")
    assert "is not valid JSON" in about(found, "config")[0]["text"]
    assert any("at import" in each["text"] and each["level"] == "error" for each in about(found, "plugins"))


# --- single checks ---------------------------------------------------------------------------------------------------


def ground(repo: Repo, **more: Any) -> Ground:
    where: Paths = find(repo.path, env=repo.env)
    return Ground(cwd=repo.path, env=dict(repo.env), paths=where, **more)


def test_without_git_or_tmux_the_way_to_them_is_told(tmp_path: Path) -> None:
    nothing = Ground(cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert machine.git(nothing)[0].level == "error"
    assert machine.tmux(nothing)[0].level == "warning"
    assert "install" in machine.git(nothing)[0].remedy


@pytest.mark.parametrize(("said", "level"), [("git version 2.24.9", "error"), ("git version 3.0.1", "ok")])
def test_an_old_git_is_told(tmp_path: Path, said: str, level: str) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho {said}\n")
    program.chmod(0o755)
    assert machine.git(Ground(cwd=tmp_path, env={"PATH": str(tmp_path)}))[0].level == level


def test_an_event_from_the_future_is_a_clock_that_is_wrong(stopped: Cli, repo: Repo) -> None:
    assert machine.clock(ground(repo))[0].level == "ok"
    journal = repo.path / ".git" / "thrum-sync" / "journal"
    journal.mkdir(exist_ok=True)
    (journal / "zz.jsonl").write_text('{"timestamp": "2999-01-01T00:00:00.000000Z"}\n{"torn')
    (found,) = machine.clock(ground(repo))
    assert (found.level, "ahead" in found.text) == ("warning", True)


def test_a_link_where_a_folder_should_be_is_told(stopped: Cli, repo: Repo, tmp_path: Path) -> None:
    shutil.rmtree(repo.path / ".thrum" / "context")
    (repo.path / ".thrum" / "context").symlink_to(tmp_path)
    assert any(finding.level == "error" for finding in project.places(ground(repo)))


def test_a_runtime_that_ended_is_no_mistake(stopped: Cli, repo: Repo) -> None:
    path = repo.path / ".thrum" / "identities" / "alice.json"
    identity = json.loads(path.read_bytes())
    path.write_text(json.dumps({**identity, "agent_pid": 2**22 - 1}))
    (found,) = people.identities(ground(repo))
    assert (found.level, "has ended" in found.text) == ("ok", True)


def test_every_line_that_is_not_ok_names_a_command_that_exists(stopped: Cli, repo: Repo) -> None:
    thrum = repo.path / ".thrum"
    (thrum / "var").chmod(0o755)
    (repo.path / ".gitignore").write_text("")
    config = json.loads((thrum / "config.json").read_bytes())
    config["daemon"] |= {"sync_interval": "often", "local_only": False}
    (thrum / "config.json").write_text(json.dumps(config))
    (thrum / "identities" / "bob.json").write_text("{nonsense")
    shutil.copy(thrum / "identities" / "alice.json", thrum / "identities" / "carol.json")
    quarantine = repo.path / ".git" / "thrum-sync" / "quarantine"
    quarantine.mkdir(exist_ok=True)
    (quarantine / "torn").write_bytes(b"xx")
    (thrum / "var" / "thrum.pid").write_text("{nonsense")
    wrong = [each for each in findings(stopped) if each["level"] != "ok"]
    assert {each["subject"] for each in wrong} >= {
        "permissions", "gitignore", "config", "identities", "quarantine", "daemon",
    }  # fmt: skip
    tree = kernel_tree()
    for each in wrong:
        program, _, rest = each["remedy"].partition(" ")
        assert program in ("thrum", "chmod", "rm", "export", "edit", "sudo", "timedatectl"), each
        if program == "thrum":
            found = tree.find(rest.split(" "))
            tree.parser(found.entry).make_context("x", list(found.args))  # type: ignore[arg-type]


def test_fixing_twice_changes_nothing_more(stopped: Cli, repo: Repo) -> None:
    (repo.path / ".gitignore").write_text("*.pyc\n")
    (repo.path / ".thrum" / "var").chmod(0o755)
    first = json.loads(stopped.run("doctor", "--fix", "--json").out)
    assert len(first["fixed"]) == 2
    before = (repo.path / ".gitignore").read_bytes()
    second = json.loads(stopped.run("doctor", "--fix", "--json").out)
    assert (second["fixed"], (repo.path / ".gitignore").read_bytes()) == ([], before)


def test_without_fix_nothing_is_touched(stopped: Cli, repo: Repo) -> None:
    (repo.path / ".gitignore").write_text("*.pyc\n")
    (repo.path / ".thrum" / "var").chmod(0o755)
    stopped.run("doctor")
    assert (repo.path / ".gitignore").read_text() == "*.pyc\n"
    assert stat.S_IMODE((repo.path / ".thrum" / "var").stat().st_mode) == 0o755


def test_a_daemon_of_another_version_or_in_trouble_is_told(running: Repo) -> None:
    said = {
        "version": "0.0.1+x",
        "warnings": ["the clock ran back"],
        "services": [
            {"name": "acme", "state": "failed", "error": "boom"},
            {"name": "fine", "state": "running"},
        ],
    }
    found = checkups.daemon(ground(running, ask=lambda method, **params: said))
    assert [(each.level, each.text.partition(",")[0], each.remedy) for each in found] == [
        ("warning", "runs version 0.0.1", "thrum daemon restart"),
        ("warning", "the clock ran back", "thrum daemon status"),
        ("warning", "service acme failed: boom", "thrum daemon logs"),
    ]
    (mute,) = checkups.daemon(ground(running))  # nobody answers
    assert (mute.level, mute.remedy) == ("error", "thrum daemon restart")


def test_a_socket_nobody_answers_on_while_the_daemon_lives_is_an_error(running: Repo) -> None:
    (running.path / ".thrum" / "var" / "thrum.sock").rename(running.path / ".thrum" / "var" / "away.sock")
    (found,) = checkups.socket(ground(running))
    (running.path / ".thrum" / "var" / "away.sock").rename(running.path / ".thrum" / "var" / "thrum.sock")
    assert (found.level, found.remedy) == ("error", "thrum daemon restart")


def test_a_remedy_can_be_typed_where_a_path_has_spaces(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    repo = Repo.make(tmp_path / "my work" / "project", isolated_home)
    thrum = repo.path / ".thrum"
    (thrum / "var").mkdir(parents=True)
    (thrum / "config.json").write_text("{}")
    left = thrum / "var" / "thrum.pid"
    left.write_text(json.dumps({"pid": 2**22 - 1, "start_time": 1.0}))
    (found,) = checkups.socket(ground(repo))
    assert shlex.split(found.remedy) == ["rm", str(left)]


@pytest.mark.parametrize(("free", "level"), [(50 << 20, "error"), (500 << 20, "warning"), (2 << 30, "ok")])
def test_little_room_is_told_before_there_is_none(free: int, level: str) -> None:
    assert machine._level(free) == level


# --- how far the log goes --------------------------------------------------------------------------------------------


def exposed(
    repo: Repo, sync: dict[str, str], *, held: str = "", local_only: bool = False, remote: str = ""
) -> Finding:
    name = "example.org/acme/project"
    path = repo.path / ".thrum" / "config.json"
    config = json.loads(path.read_bytes())
    config["daemon"] |= {"local_only": local_only, "sync": sync}
    path.write_text(json.dumps(config))

    def ask(method: str, **params: Any) -> Any:
        if held:
            return {"local_only_reason": held, "remedy": f"thrum config set a.b {name}"}
        return {"remote": remote} if remote else None

    (found,) = travel.exposure(ground(repo, settings=SettingsFile(path), ask=ask))
    return found


def test_who_can_read_what_is_pushed_is_told(stopped: Cli, repo: Repo) -> None:
    name = "example.org/acme/project"
    public, private = (
        {"detected_visibility": what, "detected_remote": name} for what in ("public", "private")
    )
    assert exposed(repo, public, local_only=True).text == "nothing leaves this machine"
    told = exposed(repo, public)
    assert (told.level, told.text) == ("warning", f"{name} is public: nothing is pushed to it")
    assert told.remedy == f"thrum config set daemon.sync.public_exposure_override {name}"
    told = exposed(repo, public | {"public_exposure_override": name})
    assert (told.level, "on purpose" in told.text) == ("ok", True)
    assert exposed(repo, public | {"public_exposure_override": "example.org/other"}).level == "warning"
    assert exposed(repo, private).text == f"{name} cannot be read by strangers"
    assert "not pushed to" in exposed(repo, {}).text
    repo.git("remote", "add", "shelf", str(repo.path.parent / "shelf.git"))
    assert exposed(repo, {}, remote="shelf").text.startswith("shelf lies on this machine's disk")
    held = f"a-sync disabled: repo visibility undetectable (or: thrum config set a.b {name})"
    told = exposed(repo, {}, held=held)
    assert (told.level, told.text, told.remedy) == ("warning", held, f"thrum config set a.b {name}")


def test_what_is_held_back_is_told_with_its_remedy(stopped: Cli, repo: Repo, tmp_path: Path) -> None:
    def found(status: dict[str, object], **sync: object) -> Finding:
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"daemon": {"local_only": False, "sync": sync}}))
        ask = {"sync.status": status}.get
        (one,) = travel.secrets(
            ground(repo, settings=SettingsFile(path), ask=lambda method, **params: ask(method))
        )
        return one

    assert found({"local_only": False}).level == "ok"
    told = found({"local_only": False, "held": ["msg_1", "msg_2"]})
    assert (told.level, told.remedy) == ("warning", "thrum sync held") and "msg_1, msg_2" in told.text
    assert found({"local_only": True, "held": ["msg_1"]}).level == "ok"
    off = found({"local_only": False}, secret_scan=False)
    assert (off.level, off.remedy) == ("warning", "thrum config set daemon.sync.secret_scan true")


def test_a_log_past_its_budget_is_told(stopped: Cli, repo: Repo) -> None:
    (found,) = travel.budget(ground(repo))
    assert found.level == "ok" and "journal 0.0 MiB" in found.text
    large = find(repo.path, env=repo.env).published / "large"
    large.parent.mkdir(parents=True, exist_ok=True)
    with large.open("wb") as stream:
        stream.truncate(Sync().budget_bytes + 1)  # takes no room
    (found,) = travel.budget(ground(repo))
    assert (found.level, found.remedy) == ("warning", "thrum sync gc")


def test_what_is_wrong_with_sync_is_told(stopped: Cli, repo: Repo) -> None:
    def told(**status: Any) -> list[tuple[str, str]]:
        answer = {"sync_state": "synced", "local_only": False, **status}
        found = travel.sync(ground(repo, ask=lambda method, **params: answer))
        return [(each.level, each.text) for each in found]

    assert told() == [("ok", "synced")]
    assert told(local_only=True, local_only_reason="why") == [("ok", "local only: why")]
    assert told(last_error="no route") == [("error", "no route")]
    assert told(problems=["a", "b"]) == [("warning", "a"), ("warning", "b"), ("ok", "synced")]
