"""`plugin check` grades by what it finds, and `plugin new` writes what it finds good."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from thrum_kernel import paths
from thrum_kernel.errors import UsageError
from thrum_kernel.plugins import checking, discovery, in_process, scaffold
from thrum_kernel.plugins.checking import Report
from thrum_kernel.settings.document import SettingsFile
from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.site import Site


@pytest.fixture
def project(tmp_path: Path) -> paths.Paths:
    return paths.plan(tmp_path, env={}, without_git=True)


def report(project: paths.Paths, site: Site, name: str, *, suite: bool = False) -> Report:
    sources = discovery.installed([str(site.path)])
    with in_process.host(project, SettingsFile(project.config), env={}, sources=sources) as host:
        plugin = host.named(name)
        assert plugin is not None
        return checking.check(host, plugin, suite=suite)


def bad(report: Report) -> dict[str, str]:
    return {mark.what: mark.detail for mark in report.marks if not mark.ok and mark.what != "conformance"}


def test_one_that_does_not_load_has_no_grade(project: paths.Paths, site: Site) -> None:
    site.install("bad", hooks="raise ValueError('x')")

    found = report(project, site, "bad")

    assert found.grade == "none"
    assert "imported: the import: ValueError: x" in bad(found)["loads"]


def test_a_heavy_manifest_is_told(project: paths.Paths, site: Site) -> None:
    site.install(
        "heavy",
        plugin="""
        import site_heavy.hooks, sqlite_utils
        from thrum_kernel.api import PluginManifest
        MANIFEST = PluginManifest(name="heavy", summary="x", api=1, hooks="site_heavy.hooks")
        """,
    )

    found = report(project, site, "heavy")

    assert found.grade == "none"
    assert "site_heavy.hooks" in bad(found)["light import"] and "sqlite_utils" in bad(found)["light import"]


COMMANDS = (
    'commands=(PluginCommand(words=("cmd", "do"), target="site_cmd.commands:do", help="Do", in_daemon=True),)'
)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def do(ctx): print('x')", "line 1: it prints"),
        ("import subprocess\ndef do(ctx): pass", "line 1: it starts processes"),
        ("import os\ndef do(ctx): return os.environ['HOME']", "os.environ is the daemon's"),
        ("def other(ctx): pass", "is not there"),
        ("import nothing_here", "cannot be imported"),
    ],
)
def test_a_command_for_the_daemon_is_held_to_its_contract(
    project: paths.Paths, site: Site, source: str, told: str
) -> None:
    site.install("cmd", manifest=COMMANDS, modules={"commands": source})

    assert told in bad(report(project, site, "cmd"))["command cmd do"]


def test_undocumented_methods_and_settings_are_told(project: paths.Paths, site: Site) -> None:
    site.install(
        "mute",
        manifest='settings="site_mute.settings:Settings"',
        modules={
            "settings": "from pydantic import BaseModel\nclass Settings(BaseModel):\n    level: int = 1\n"
        },
        hooks="""
        class P(msgspec.Struct): pass
        @hookimpl
        def thrum_methods(ctx): return [Method("mute.do", P, dict, lambda c, p: {}, "")]
        """,
    )

    found = bad(report(project, site, "mute"))

    assert "summary" in found["method mute.do is documented"]
    assert found["settings are documented"] == "say what level mean"


TABLE = """
class Seen(Event, kw_only=True, tag="tab.seen"):
    text: str
    tags: list[str] = []
@hookimpl
def thrum_event_types(ctx): return [EventType("tab.seen", Seen)]
@hookimpl
def thrum_migrations(ctx): return Tables(projected=("CREATE TABLE tab_seen (id TEXT PRIMARY KEY, text TEXT)",))
def apply(db, event):
    BODY
@hookimpl
def thrum_projectors(ctx): return [Projector("tab.seen", apply), Projector("message.create", lambda db, event: None)]
"""


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("db.execute('INSERT OR IGNORE INTO tab_seen VALUES (?, ?)', (event.event_id, event.text))", ""),
        (
            "db.execute('INSERT INTO tab_seen VALUES (?, ?)', (event.event_id, event.text))",
            "UNIQUE constraint",
        ),
        ("db.execute('INSERT OR REPLACE INTO tab_seen VALUES (1, ?)', (event.text,))", "in another order"),
    ],
)
def test_projectors_are_tried_with_random_events_in_any_order(
    project: paths.Paths, site: Site, body: str, told: str
) -> None:
    site.install("tab", hooks=TABLE.replace("BODY", body))

    found = bad(report(project, site, "tab"))

    assert told in found.get("projector of tab.seen", "")
    assert bool(told) == ("projector of tab.seen" in found)
    assert "projector of message.create" not in found


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ("async def thrum_agent_facts(ctx, agent): return (await ctx.call('x'))['y']", ""),
        ("async def thrum_agent_facts(ctx, agent): return {'n': len(ctx.read('SELECT 1'))}", ""),
        ("async def thrum_agent_facts(ctx, agent): return {'x': 1 / 0}", "ZeroDivisionError"),
        ("async def thrum_agent_facts(ctx, agent):\n    while True: pass", "blocked the loop"),
        (
            "async def thrum_wake(ctx, wake):\n    async def later(): await ctx.call('x')\n    return later()",
            "",
        ),
        (
            "async def thrum_wake(ctx, wake):\n    async def later(): return 1 / 0\n    return later()",
            "ZeroDivisionError",
        ),
    ],
)
def test_hooks_are_tried_under_a_kernel_that_fails(
    project: paths.Paths, site: Site, hook: str, told: str
) -> None:
    site.install("facts", hooks=f"@hookimpl\n{hook}\n")

    found = "".join(
        why for what, why in bad(report(project, site, "facts")).items() if "survives faults" in what
    )
    assert told in found and bool(told) == bool(found)


def test_a_marker_does_not_make_a_plugin_typed(project: paths.Paths, site: Site) -> None:
    site.install(
        "bare",
        hooks="@hookimpl\nasync def thrum_hints(ctx, moment): return []\n"
        "@hookimpl\nasync def thrum_preamble(ctx: PluginContext, agent: AgentInfo) -> str: return agent.name\n",
    )
    assert bad(report(project, site, "bare"))["typed"] == "annotate thrum_hints"
    hooks = site.path / "site_bare" / "hooks.py"

    hooks.write_text(
        hooks.read_text().replace("(ctx, moment)", "(ctx: PluginContext, moment: Moment) -> list[Hint]")
    )
    sys.modules.pop("site_bare.hooks")

    assert bad(report(project, site, "bare"))["typed"] == "site_bare has no py.typed"
    (site.path / "site_bare" / "py.typed").touch()
    assert "typed" not in bad(report(project, site, "bare"))


def test_a_new_plugin_with_everything_is_well_formed(tmp_path: Path) -> None:
    files = scaffold.project("acme_all", parts=list(scaffold.PARTS), summary="All of it")
    folder = tmp_path / scaffold.folder_name("acme_all")

    scaffold.write(folder, files)

    assert not [path for path, text in files.items() if "__NAME__" in text or "__PACKAGE__" in text]
    for path, text in files.items():
        if path.endswith(".py"):
            compile(text, path, "exec")
    with pytest.raises(UsageError, match="there already"):
        scaffold.write(folder, files)


ROOT = Path(__file__).parents[2]
SHIPPED = sorted(file.parent.relative_to(ROOT) for file in ROOT.glob("plugins/*/pyproject.toml"))
SHOWN = sorted(file.parent.relative_to(ROOT) for file in ROOT.glob("examples/*/pyproject.toml"))


ONLY_THE_SUITE = {"conformance": "was not run"}
"""What is missing for gold where nothing is: the tests of each project run the conformance suite."""


def missing_for_gold(cli: Cli, *target: str) -> dict[str, dict[str, str]]:
    """What is wrong with each distribution that was checked."""
    checked = json.loads(cli.run("plugin", "check", *target, "--no-suite", "--json").out)
    return {
        report["distribution"]: {mark["what"]: mark["detail"] for mark in report["marks"] if not mark["ok"]}
        for report in checked["reports"]
    }


def test_nothing_is_missing_for_gold_in_what_we_ship(cli: Cli) -> None:
    missing = missing_for_gold(cli)

    for project in SHIPPED:
        assert missing.pop(project.name.replace("_", "-")) == ONLY_THE_SUITE, project
    assert not missing


@pytest.mark.parametrize("project", SHOWN, ids=str)
def test_nothing_is_missing_for_gold_in_what_we_show(cli: Cli, project: Path) -> None:
    assert missing_for_gold(cli, str(ROOT / project)) == {project.name: ONLY_THE_SUITE}


@pytest.mark.parametrize("project", [*SHIPPED, *SHOWN], ids=str)
def test_each_of_them_runs_the_conformance_suite(project: Path) -> None:
    suite = (file.read_text() for file in (ROOT / project / "tests").glob("test_*_contract.py"))
    assert any("(PluginContract)" in text for text in suite)


@pytest.mark.parametrize("name", ["Acme", "acme-guard", "1st", "", "a b", "x", "x" * 42])
def test_a_name_that_no_plugin_can_have_is_refused(name: str) -> None:
    rule = "2 to 41 lower-case letters, digits and _, a letter first"
    with pytest.raises(UsageError, match=f"invalid plugin name .*: it must be {rule}"):
        scaffold.project(name)


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        *(
            (name, "one of thrum's own")
            for name in ("thrum", "kernel", "guards", "guard", "runtimes", "worktrees")
        ),
        *((name, "a word of Python") for name in ("import", "class", "async")),
    ],
)
def test_a_name_of_ours_or_of_python_is_refused(name: str, whose: str) -> None:
    with pytest.raises(UsageError, match=f'cannot be called "{name}": it is {whose}') as raised:
        scaffold.project(name)
    assert raised.value.hint == f"e.g. acme_{name}"
    assert scaffold.project(f"acme_{name}")


@pytest.mark.parametrize("summary", ['say "hi"', "a\\b", "a\x00b"])
def test_a_summary_that_would_break_the_new_code_is_refused(summary: str) -> None:
    with pytest.raises(UsageError, match="summary"):
        scaffold.project("acme_all", summary=summary)


def test_a_summary_of_several_lines_becomes_one() -> None:
    files = scaffold.project("acme_all", summary="front\n desk")

    assert 'description = "front desk"' in files["pyproject.toml"]


def test_new_and_check_from_the_command_line_without_any_project(cli: Cli, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    here = cli.at(nowhere)
    assert "unknown part" in here.refused("plugin", "new", "acme_x", "--with", "magic")
    assert 'cannot be called "send": a command is' in here.refused("plugin", "new", "send")
    assert not list(nowhere.iterdir())

    made = here.json("plugin", "new", "acme_x", "--with", "guard,service,table,preset,command")
    checked = here.run("plugin", "check", made["path"], "--no-suite")

    assert checked.status == 0, checked.err
    assert checked.out.startswith("acme_x (thrum-acme-x): bronze\n")
    wrong = [line for line in checked.out.splitlines() if "✗" in line]
    assert wrong == ["  ✗ silver  conformance: was not run"]
    assert here.run("plugin", "check", made["path"], "--no-suite", "--require", "silver").status == 1


def test_a_plugin_of_the_team_can_be_checked_before_it_is_trusted(daemon: Cli, repo: Repo) -> None:
    folder = repo.path / ".thrum-plugins"
    folder.mkdir()
    (folder / "mood.py").write_text(
        "from thrum_kernel.api import PluginManifest, hookimpl\n"
        'MANIFEST = PluginManifest(name="mood", summary="x", api=1)\n'
        "@hookimpl\nasync def thrum_hints(moment): return []\n"
    )

    assert daemon("plugin", "check", ".thrum-plugins/mood.py", "--no-suite").startswith(
        "mood (.thrum-plugins/mood.py)"
    )
