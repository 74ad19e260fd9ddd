"""Hints around commands: asked where somebody has any, told in both shapes, and able to stop a command."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from briefing_project import Kept

import thrum_kernel
from thrum_kernel.api import Caller, Moment
from thrum_kernel.briefing.hints import CODES, Hints, stale_recipients
from thrum_kernel.briefing.hooks import NoHooks
from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.site import Site
from thrum_kernel.testing.spawner import Spawner

ACME = """
    OPTION = HintOption(label="go", cmd="thrum inbox", note="safe")

    @hookimpl
    async def thrum_hints(ctx, moment):
        if moment.command not in ("status", "team"):
            return []
        if moment.phase == "after":
            code = "acme.after" if isinstance(moment.result, (dict, list)) else "acme.no-result"
            return [Hint(code=code, severity="info", message="done", options=(OPTION,))]
        if moment.command == "team" and moment.params.get("host") == "stop":
            return [Hint(code="acme.info", severity="info", message="by the way"),
                    Hint(code="acme.stop", severity="warn", message="not like this", options=(OPTION,))]
        return []
"""

MINE = """
    @hookimpl
    async def thrum_hints(ctx, moment):
        force = HintOption(label="force", cmd="thrum mine go --force")
        if moment.phase == "before":
            return [Hint(code="mine.exists", severity="warn", message="it is there", options=(force,), allow_force=True)]
        return [Hint(code="mine.next", severity="info", message="next")]

    import typer

    def go(ctx: typer.Context, force: bool = typer.Option(False, "--force")) -> None:
        ctx.obj.out.json({"went": True, "force": force})
        ctx.obj.out.line("went")
"""


AROUND = """
    @hookimpl
    async def thrum_hints(ctx, moment):
        if moment.phase == "after":
            told = ",".join(sorted(moment.result)) if isinstance(moment.result, dict) else "nothing"
            return [Hint(code="around.after", severity="info", message=told)]
        if moment.params.get("role") == "never" or moment.params.get("intent") == "never":
            return [Hint(code="around.stop", severity="warn", message="not now", allow_force=True)]
        return []
"""

GUARD = """
    @hookimpl
    def thrum_guard_scope(ctx):
        return ["prime"]

    @hookimpl
    async def thrum_guard(ctx, call):
        return Verdict(outcome="warn", guard="acme", reason="careful")
"""


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner, kernel_alone: dict[str, str]
) -> Kept:
    """A repository as new, initialised with nobody in it, and with alice."""
    kept = Kept.make(tmp_path_factory.mktemp("hints"), kernel_alone)
    cli = Cli(thrum_spawner, kept.repo.path, kept.repo.env)
    cli("init", "--non-interactive", "--no-daemon")
    kept.keep("nobody")
    try:
        cli("quickstart", "alice", "--role", "implementer", "--module", "auth")
    finally:
        stop_daemon(cli)
    kept.keep("alice")
    return kept


@pytest.fixture
def repo(kept: Kept) -> Repo:
    """A repository as new."""
    kept.restore("fresh")
    return kept.repo


@pytest.fixture
def daemon(kept: Kept, cli: Cli) -> Cli:
    """A project with nobody in it, whose daemon runs."""
    kept.restore("nobody")
    cli("daemon", "start")
    return cli


@pytest.fixture
def alice(kept: Kept, cli: Cli) -> Cli:
    """A project with alice in it, whose daemon runs."""
    kept.restore("alice")
    cli("daemon", "start")
    return cli


def make_old(repo: Repo, cli: Cli, identity: Path, name: str) -> None:
    """Have an agent be last heard of years ago, while nobody looks."""
    stop_daemon(cli)
    told = json.loads(identity.read_bytes())
    identity.write_text(json.dumps({**told, "updated_at": "2020-01-01T00:00:00.000000Z"}))
    with closing(sqlite3.connect(repo.main / ".git" / "thrum-sync" / "local.db")) as db, db:
        db.execute("UPDATE agent_homes SET last_seen_us = 1 WHERE name = ?", (name,))
    cli("daemon", "start")


# --- the kernel's own ------------------------------------------------------------------------------------------------


def moment(*to: str, caller: Caller | None = None) -> Moment:
    caller = caller or Caller(kind="agent", agent_id="alice")
    return Moment(command="send", phase="before", caller=caller, params={"to": list(to)})


def test_only_recipients_of_this_machine_that_were_long_not_seen_are_told() -> None:
    now = 10_000_000_000_000
    seen = {"old": now - 31 * 60_000_000, "new": now - 29 * 60_000_000, "never": 0}
    hints = stale_recipients(seen.get, lambda: now)(moment("@old", "new", "@never", "far", "old"))
    assert [(hint.code, hint.severity) for hint in hints] == [("send.recipient-stale", "info")] * 2
    assert [hint.message.partition(":")[0] for hint in hints] == [
        "@old was not seen for 31m",
        "@never was never seen",
    ]


def test_nobody_is_told_of_recipients_of_a_message_that_nobody_can_send() -> None:
    hints = stale_recipients({"old": 1}.get, lambda: 10_000_000_000_000)
    assert hints(moment("old")) and not hints(moment("old", caller=Caller(kind="anonymous")))


def test_sending_to_somebody_long_not_seen_says_so_and_sends(alice: Cli, repo: Repo) -> None:
    there = repo.worktree("bobs")
    bob = alice.at(there.path)
    bob("quickstart", "bob", "--role", "tester", "--module", "auth")
    assert "recipient-stale" not in alice.run("send", "hi", "--to", "@bob").err
    make_old(repo, alice, there.path / ".thrum" / "identities" / "bob.json", "bob")
    ran = alice.run("send", "hi", "--to", "@bob")
    assert (ran.status, "Message sent" in ran.out) == (0, True)
    assert re.search(r"\n  info \[send\.recipient-stale\]: @bob was not seen for \d+d", ran.err)
    assert "\n    who is here:     thrum team\n    how far it came: thrum sent --to @bob\n" in ran.err
    (hint,) = alice.json("send", "hi", "--to", "@bob")["hints"]
    assert (hint["code"], hint["severity"]) == ("send.recipient-stale", "info")
    for quiet in (("--quiet",), ("--json",)):
        assert "recipient-stale" not in alice.run("send", "hi", "--to", "@bob", *quiet).err
    silenced = alice.at(repo.path, THRUM_NO_HINTS="1")
    assert "recipient-stale" not in silenced.run("send", "hi", "--to", "@bob").err
    assert "hints" not in silenced.json("send", "hi", "--to", "@bob")
    spoken = alice.at(repo.path, THRUM_NO_HINTS="false")
    assert "recipient-stale" in spoken.run("send", "hi", "--to", "@bob").err


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("init.next-quickstart", ("init", "--force", "--no-daemon")),
        (
            "agent.register.next-session",
            ("agent", "register", "--name", "bob", "--role", "tester", "--module", "m"),
        ),
        ("daemon.unit.install", ("daemon", "unit")),
    ],
)
def test_what_comes_next_is_told_in_both_shapes_unless_nobody_wants_it(
    daemon: Cli, repo: Repo, code: str, words: tuple[str, ...]
) -> None:
    def ran(*more: str, **env: str) -> Any:
        return daemon.at(repo.path, **env).run(*words, *more)

    for value in ("", "0", "false"):
        assert f"\n  info [{code}]: " in ran(THRUM_NO_HINTS=value).err
    shown = ran("--json")
    (hint,) = json.loads(shown.out)["hints"]
    assert (hint["code"], hint["severity"], shown.err) == (code, "info", "")
    assert hint["message"] and all(option["cmd"] for option in hint["options"])
    assert code not in ran("--quiet").err
    for value in ("1", "yes", "true"):
        assert code not in ran(THRUM_NO_HINTS=value).err
        assert "hints" not in json.loads(ran("--json", THRUM_NO_HINTS=value).out)


def test_every_code_that_the_kernel_gives_is_in_the_table_with_its_severity() -> None:
    source = Path(thrum_kernel.__file__).parent
    given = set[str]()
    for path in source.rglob("*.py"):
        given.update(re.findall(r'out\.hint\(\s*"([a-z.-]+)"', path.read_text()))
        given.update(re.findall(r'Hint\(\s*code="([a-z.-]+)"', path.read_text()))
        given.update(re.findall(r'Hint\(.*"([a-z.-]+)", "warn"', path.read_text()))
        given.update(re.findall(r'out\.warn\(\s*f?"([a-z.-]+): ', path.read_text()))
    own = {code.code for code in CODES if not code.owner}
    assert given == own
    assert len({code.code for code in CODES}) == len(CODES)


def test_the_page_about_hints_is_current() -> None:
    root = Path(thrum_kernel.__file__).parents[1]
    spec = importlib.util.spec_from_file_location("thrum_docs_generate_hints", root / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.hints_page() == (root / "docs" / "reference" / "hints.md").read_text(), "run `make docs`"


async def ask_nobody() -> list[Any]:
    hints = Hints(hooks=NoHooks(), kernel={})
    assert not hints.concern("send")
    return await hints.gather(moment("@old"))


def test_without_anybody_nothing_is_asked() -> None:
    assert asyncio.run(ask_nobody()) == []


# --- plugins ---------------------------------------------------------------------------------------------------------


def test_a_command_in_the_daemon_is_asked_about_before_and_after(
    kept: Kept, plugged: Cli, site: Site
) -> None:
    site.install("acme", hooks=ACME)
    kept.restore("alice")
    plugged("daemon", "start")
    ran = plugged.run("status")
    assert ran.err == "\n  info [acme.after]: done\n    go: thrum inbox    (safe)\n"
    assert plugged.json("status")["hints"] == [
        {
            "code": "acme.after",
            "severity": "info",
            "message": "done",
            "options": [{"label": "go", "cmd": "thrum inbox", "note": "safe"}],
        }
    ]


def test_a_warning_before_stops_the_command_and_cannot_be_forced_unless_it_says_so(
    kept: Kept, plugged: Cli, site: Site
) -> None:
    site.install("acme", hooks=ACME)
    kept.restore("alice")
    plugged("daemon", "start")
    ran = plugged.run("team", "--host", "stop")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        "Error: aborted by hint [acme.stop]: not like this\n"
        "\n  warn [acme.stop]: not like this\n    go: thrum inbox    (safe)\n"
        "\n  info [acme.info]: by the way\n"
    )
    ran = plugged.run("team", "--host", "stop", "--json")
    assert ran.status == 1
    body = json.loads(ran.out)
    assert (body["error"], body["aborted"]) == ("aborted by hint", True)
    assert [hint["code"] for hint in body["hints"]] == ["acme.stop", "acme.info"]
    silent = plugged.at(plugged.cwd, THRUM_NO_HINTS="1").run("team", "--host", "stop")
    assert (silent.status, silent.err) == (1, "Error: aborted by hint [acme.stop]: not like this\n")


def test_a_command_in_process_is_asked_about_and_force_gets_past_what_allows_it(
    kept: Kept, plugged: Cli, site: Site
) -> None:
    site.install(
        "mine",
        hooks=MINE,
        manifest="hints=('mine go',), commands=(PluginCommand(words=('mine', 'go'), target='site_mine.hooks:go', help='Go'),)",
    )
    kept.restore("nobody")
    plugged("daemon", "start")
    ran = plugged.run("mine", "go")
    assert (ran.status, ran.out) == (1, "")
    assert "Hint: --force gets past it" in ran.err
    forced = plugged.run("mine", "go", "--force")
    assert (forced.status, forced.out) == (0, "went\n")
    assert forced.err.index("warn [mine.exists]") < forced.err.index("info [mine.next]")
    assert "mine." not in plugged.run("status").err  # the manifest names the only command it has hints for


def test_a_plugin_that_breaks_over_hints_costs_nobody_his_command(
    kept: Kept, plugged: Cli, site: Site
) -> None:
    site.install(
        "bad", hooks="@hookimpl\nasync def thrum_hints(ctx, moment):\n    raise RuntimeError('no')\n"
    )
    kept.restore("nobody")
    plugged("daemon", "start")
    assert plugged.run("version").status == 0
    assert plugged.run("status").status == 0


def test_commands_that_need_no_daemon_are_asked_about_where_one_runs(plugged: Cli, site: Site) -> None:
    site.install("around", hooks=AROUND, manifest="hints=('init', 'quickstart', 'doctor', 'version')")
    words = ("quickstart", "alice", "--role", "implementer", "--module", "auth")
    assert plugged.json("init", "--no-daemon").get("hints", [])[1:] == []  # nobody can be asked
    assert "around." not in plugged.run("version").err
    assert plugged.json("daemon", "status")["running"] is False  # and nobody is started for it
    ran = plugged.run(*words)  # this starts it
    assert ran.err.endswith("\n  info [around.after]: register,session\n")
    (hint,) = plugged.json(*words)["hints"]
    assert hint["code"] == "around.after"
    stopped = plugged.run(*words, "--intent", "never")
    assert (stopped.status, stopped.out) == (1, "")
    assert stopped.err.startswith(
        "Error: aborted by hint [around.stop]: not now\nHint: --force gets past it\n"
    )
    forced = plugged.run(*words, "--intent", "never", "--force")
    assert (forced.status, "warn [around.stop]" in forced.err) == (0, True)
    assert "around.after" in plugged.run("doctor").err
    for program in (plugged, plugged.in_process()):
        assert "around.after" in program.run("version").err
        assert program.run("version", "--quiet").err == ""
        assert program.at(plugged.cwd, THRUM_NO_HINTS="1").run("version").err == ""
        assert "hints" not in program.at(plugged.cwd, THRUM_NO_HINTS="1").json("version")


def test_a_warning_is_a_line_for_people_and_a_hint_in_json(kept: Kept, plugged: Cli, site: Site) -> None:
    site.install("acme", hooks=GUARD)
    kept.restore("alice")
    plugged("daemon", "start")
    for cli in (plugged, plugged.in_process()):
        assert cli.run("prime").err == 'Warning: identity guard "acme" fired: careful\n'
        ran = cli.run("prime", "--json")
        assert ran.err == ""
        (hint,) = json.loads(ran.out)["hints"]
        assert hint == {
            "code": "runtime.warn",
            "severity": "warn",
            "message": 'identity guard "acme" fired: careful',
            "options": [],
        }
        silent = cli.at(plugged.cwd, THRUM_NO_HINTS="1").run("prime", "--json")
        assert "hints" not in json.loads(silent.out)
        assert silent.err.startswith(
            "Warning: identity guard"
        )  # hints are not wanted; what is wrong is still told
