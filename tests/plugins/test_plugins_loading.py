"""Plugins in a process of their own: found, checked, loaded in order, refused with the reason, taken back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from thrum_kernel import paths
from thrum_kernel.api import Caller, GuardedCall
from thrum_kernel.errors import PluginError
from thrum_kernel.plugins import discovery, in_process
from thrum_kernel.plugins.in_process import ProcessHost
from thrum_kernel.plugins.record import Plugin
from thrum_kernel.settings.document import SettingsFile
from thrum_kernel.testing.site import Site


@pytest.fixture
def project(tmp_path: Path) -> paths.Paths:
    folder = tmp_path / "project"
    (folder / ".thrum" / "var").mkdir(parents=True)
    (folder / ".thrum" / "config.json").write_text("{}")
    return paths.plan(folder, env={}, without_git=True)


@contextmanager
def loaded(project: paths.Paths, site: Site, **env: str) -> Iterator[ProcessHost]:
    settings = SettingsFile(project.config)
    with in_process.host(project, settings, env=env, sources=discovery.installed([str(site.path)])) as host:
        yield host


def one(host: ProcessHost, name: str) -> Plugin:
    plugin = host.named(name)
    assert plugin is not None
    return plugin


def failure(project: paths.Paths, site: Site, name: str) -> tuple[str, str]:
    """Phase and error of a plugin that fails; it must have left nothing behind."""
    with loaded(project, site) as host:
        plugin = one(host, name)
        assert plugin.state == "failed" and not plugin.undo and plugin not in host.loaded
        assert host.claims.names("plugin", owner=plugin.label) == []
        assert host.hooks.of_plugin(plugin) == []
        return plugin.phase, plugin.error


def test_a_plugin_is_loaded_and_named_by_plugin_and_distribution(project: paths.Paths, site: Site) -> None:
    site.install("one", hooks="@hookimpl\nasync def thrum_hints(moment): return []\n")

    with loaded(project, site) as host:
        plugin = one(host, "one")

        assert (plugin.state, plugin.label) == ("active", "one (acme-one 1.0)")
        assert host.implements("thrum_hints")


@pytest.mark.parametrize(
    ("hooks", "phase", "told"),
    [
        ("raise ValueError('at import')", "imported", "ValueError: at import"),
        ("sys.exit(3)", "imported", "it raised SystemExit(3)"),
        ("raise KeyboardInterrupt", "imported", "it raised KeyboardInterrupt"),
        ("class Odd(BaseException): pass\nraise Odd('odd')", "imported", "it raised Odd(odd)"),
        ("import no_such_module_here", "imported", "No module named 'no_such_module_here'"),
        ("this is no python", "imported", "/hooks.py:"),
        (
            "@hookimpl\nasync def thrum_methods(ctx): return []",
            "configured",
            "thrum_methods must be a plain function",
        ),
        ("@hookimpl\ndef thrum_hints(ctx, moment): return []", "configured", "thrum_hints must be async def"),
        (
            "@hookimpl\nasync def thrum_hints(moment): yield 1",
            "configured",
            "must return its result, not yield",
        ),
        (
            "@hookimpl\nasync def thrum_hint(moment): pass",
            "configured",
            "unknown hook thrum_hint, did you mean thrum_hints?",
        ),
        ("@hookimpl\nasync def thrum_hints(ctx, when): pass", "configured", "when"),
        (
            "@hookimpl(wrapper=True)\ndef thrum_methods(ctx): return (yield)",
            "configured",
            "wrappers are not supported",
        ),
        (
            "async def thrum_hints(ctx, moment): pass",
            "configured",
            "thrum_hints is not marked with @hookimpl",
        ),
        ("@hookimpl\nasync def thrum_guard(ctx, call): pass", "configured", "without thrum_guard_scope"),
        (
            "@hookimpl\ndef thrum_methods(ctx): raise KeyError('boom')",
            "registered",
            "thrum_methods: KeyError: 'boom'",
        ),
        (
            "@hookimpl\ndef thrum_methods(ctx): sys.exit()",
            "registered",
            "thrum_methods: it raised SystemExit",
        ),
        (
            "@hookimpl\ndef thrum_methods(ctx): return None",
            "registered",
            "thrum_methods gave no sequence but NoneType",
        ),
        (
            "@hookimpl\ndef thrum_methods(ctx): return ['x']",
            "registered",
            "thrum_methods gave str, not Method",
        ),
        ("@hookimpl\ndef thrum_migrations(ctx): return []", "registered", "gave no Tables but list"),
        (
            "@hookimpl\ndef thrum_guard_scope(ctx): return ['everything']",
            "registered",
            "'everything' is no method",
        ),
        (
            "@hookimpl\ndef thrum_services(ctx): return [Service('other.loop', None)]",
            "registered",
            'service other.loop must be called "bad.',
        ),
        (
            "class P(msgspec.Struct): pass\n@hookimpl\ndef thrum_methods(ctx):"
            " return [Method('message.steal', P, dict, lambda c, p: {}, 'x')]",
            "registered",
            'method message.steal lies outside "bad"',
        ),
        (
            "class E(Event, tag='other.done'): pass\n@hookimpl\ndef thrum_event_types(ctx):"
            " return [EventType('other.done', E)]",
            "registered",
            'event type other.done lies outside "bad"',
        ),
        (
            "class E(Event, tag='wrong'): pass\n@hookimpl\ndef thrum_event_types(ctx): return [EventType('bad.done', E)]",
            "registered",
            "its payload is tagged 'wrong'",
        ),
        (
            "@hookimpl\ndef thrum_projectors(ctx): return [Projector('nobody.knows', print)]",
            "registered",
            "unknown event type nobody.knows",
        ),
        (
            "@hookimpl\ndef thrum_migrations(ctx): return Tables(projected=('CREATE TABLE message (x)',))",
            "migrated",
            "projected table 'CREATE TABLE message (x)': not authorized",
        ),
        (
            "@hookimpl\ndef thrum_migrations(ctx): return Tables(local=(Migration('bad.1', ('CREATE TABEL',)),))",
            "migrated",
            "syntax error",
        ),
        (
            "@hookimpl\ndef thrum_migrations(ctx): return Tables(local=(Migration('messaging.1', ()),))",
            "migrated",
            'must be a Migration called "bad.',
        ),
        (
            "@hookimpl\ndef thrum_migrations(ctx):"
            " return Tables(local=(Migration('bad.1', (\"ATTACH 'x.db' AS y\",)),))",
            "migrated",
            "not authorized",
        ),
    ],
)
def test_a_mistake_is_named_in_its_phase_and_leaves_nothing(
    project: paths.Paths, site: Site, hooks: str, phase: str, told: str
) -> None:
    site.install("bad", hooks=hooks)

    found = failure(project, site, "bad")

    assert found[0] == phase
    assert told in found[1]


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        ("raise RuntimeError('light module')", "RuntimeError: light module"),
        ("raise SystemExit(1)", "it raised SystemExit(1)"),
        ("MANIFEST = {'name': 'bad'}", "no PluginManifest but dict"),
        ("nothing = 1", "AttributeError"),
    ],
)
def test_an_entry_point_that_gives_no_manifest_is_named(
    project: paths.Paths, site: Site, plugin: str, told: str
) -> None:
    site.install("bad", plugin=plugin)

    phase, error = failure(project, site, "bad")

    assert phase == "gated"
    assert told in error


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("api=1", "keyword argument repeated"),
        ("methods=('Bad Name',)", "methods: 'Bad Name' is no valid name"),
        ("methods='bad.x'", "methods must be a tuple of names"),
        ("senders=('alice',)", "senders: 'alice' is no valid name"),
        ("capabilities=frozenset({'magic'})", "unknown capabilities magic"),
        ("settings='nowhere'", "settings 'nowhere' must be module:Class"),
        (
            "commands=(PluginCommand(words=('send',), target='a:b', help='x'),)",
            'command "send" lies neither below "bad" nor below a claimed noun',
        ),
        (
            "commands=(PluginCommand(words=('bad', 'x'), target='a:b', help=''),)",
            'command "bad x" has no help',
        ),
        (
            "commands=(PluginCommand(words=('bad', 'x'), target='a:b', help='x', in_daemon=True, local=True),)",
            "cannot be in_daemon and also local",
        ),
    ],
)
def test_a_bad_manifest_is_refused_with_every_mistake(
    project: paths.Paths, site: Site, manifest: str, told: str
) -> None:
    site.install("bad", manifest=manifest)

    assert told in failure(project, site, "bad")[1]


EVERYTHING = """
class E(Event, kw_only=True, tag="bad.done"):
    text: str = ""
class P(msgspec.Struct): "Nothing."
@hookimpl
def thrum_event_types(ctx): return [EventType("bad.done", E)]
@hookimpl
def thrum_projectors(ctx): return [Projector("bad.done", print)]
@hookimpl
def thrum_methods(ctx): return [Method("bad.do", P, dict, print, "Do")]
@hookimpl
def thrum_services(ctx): return [Service("bad.loop", print)]
@hookimpl
def thrum_runtime_presets(ctx): return [RuntimePreset(name="x", display_name="X", command="x", processes=("xd",))]
@hookimpl
def thrum_init_steps(ctx): return [InitStep(name="s", order=1, run=print)]
@hookimpl
def thrum_checks(ctx): return [Check(subject="s", look=print)]
@hookimpl
def thrum_guard_scope(ctx): return ["command:*"]
@hookimpl
async def thrum_guard(ctx, call): return None
@hookimpl
def thrum_migrations(ctx): return Tables(projected=("CREATE TABLE bad_t (x)", "NO SQL"))
"""


def test_one_that_fails_last_has_everything_taken_back(project: paths.Paths, site: Site) -> None:
    site.install(
        "bad",
        hooks=EVERYTHING,
        manifest='settings="site_bad.settings:Settings"',
        modules={
            "settings": "from pydantic import BaseModel\nclass Settings(BaseModel):\n    level: int = 1\n"
        },
    )
    with loaded(project, site) as host:
        assert one(host, "bad").phase == "migrated"
        assert "bad.done" not in host._registry.types  # type: ignore[attr-defined]
        assert host._registry.projectors._rules == {}  # type: ignore[attr-defined]
        assert host._registry._names == set()  # type: ignore[attr-defined]
        assert host.presets == {} and "xd" not in host.process_names
        assert host.projected_tables == [] and host.init_steps == [] and host.checks == []
        assert not host.implements("thrum_guard") and host.guards.is_empty
        assert host.settings.sections.get("bad") is None
        assert not host.claims.names("method") and not host.claims.names("table")


def test_another_api_level_is_refused_and_says_what_to_do(project: paths.Paths, site: Site) -> None:
    for level, name in ((2, "newer"), (0, "older")):
        site.install(
            name,
            plugin=f"""
            from thrum_kernel.api import PluginManifest
            MANIFEST = PluginManifest(name="{name}", summary="x", api={level}, hooks="site_{name}.hooks")
            """,
        )

    assert "upgrade thrum" in failure(project, site, "newer")[1]
    assert "api level 0, this thrum has 1" in failure(project, site, "older")[1]


def test_what_hangs_is_left_behind_and_named(project: paths.Paths, site: Site) -> None:
    SettingsFile(project.config).set("plugins.hook_timeout", 0.1)
    site.install("slow", hooks="@hookimpl\ndef thrum_methods(ctx): time.sleep(30)\n")
    site.install("well")

    with loaded(project, site) as host:
        assert "thrum_methods: took longer than 0.1 s" in one(host, "slow").error
        assert one(host, "well").state == "active"


def test_a_failing_plugin_takes_no_other_along_and_is_logged_once(
    project: paths.Paths, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.install("bad", hooks="raise ValueError('broken')")
    site.install("good")

    with caplog.at_level(logging.DEBUG), loaded(project, site) as host:
        assert one(host, "good").state == "active"

    assert sum("acme-bad" in record.getMessage() for record in caplog.records) == 1


def test_strict_makes_a_failure_an_error(project: paths.Paths, site: Site) -> None:
    site.install("bad", hooks="raise ValueError('broken')")

    told = r"bad \(acme-bad 1.0\) failed: imported: .*broken"
    with pytest.raises(PluginError, match=told), loaded(project, site, THRUM_PLUGINS_STRICT="1"):
        pass


def test_the_environment_and_the_configuration_disable(project: paths.Paths, site: Site) -> None:
    for name in ("one", "two", "three"):
        site.install(name)
    SettingsFile(project.config).set("plugins.disabled", ["two"])

    with loaded(project, site, THRUM_PLUGINS_DISABLE="one, missing") as host:
        states = {plugin.name: (plugin.state, plugin.error) for plugin in host.plugins}
    assert states["one"] == ("disabled", "THRUM_PLUGINS_DISABLE")
    assert states["two"] == ("disabled", "plugins.disabled in config.json")
    assert states["three"][0] == "active"
    with loaded(project, site, THRUM_PLUGINS_AUTOLOAD="0") as host:
        assert {plugin.state for plugin in host.plugins} == {"disabled"}


def test_required_plugins_come_first_and_a_missing_or_failed_one_fails_those_that_need_it(
    project: paths.Paths, site: Site
) -> None:
    site.install("alpha", manifest="requires=('omega',)")
    site.install("omega")
    site.install("lonely", manifest="requires=('nowhere',)")
    site.install("broken", hooks="raise ValueError")
    site.install("needy", manifest="requires=('broken',)")

    with loaded(project, site) as host:
        assert [plugin.name for plugin in host.loaded] == ["omega", "alpha"]
        assert one(host, "lonely").error == "it requires the plugin nowhere, which is not installed"
        assert one(host, "needy").error == "it requires the plugin broken, which is failed"


def test_a_circle_of_requirements_is_told(project: paths.Paths, site: Site) -> None:
    site.install("a", manifest="requires=('b',)")
    site.install("b", manifest="requires=('c',)")
    site.install("c", manifest="requires=('a',)")
    site.install("free")

    with loaded(project, site) as host:
        assert "a → b → c → a" in one(host, "a").error
        assert one(host, "free").state == "active"


COLLISIONS = {
    "methods": ("methods=('shared.do',)", 'method "shared.do"'),
    "nouns": ("nouns=('shared',)", 'noun "shared"'),
    "tables": ("tables=('shared',)", 'table "shared"'),
    "senders": ("senders=('shared:*',)", 'sender "shared:*"'),
    "events": ("events=('shared.done',)", 'event "shared.done"'),
}


@pytest.mark.parametrize("kind", COLLISIONS)
def test_a_name_that_two_claim_fails_the_later_and_names_both(
    project: paths.Paths, site: Site, kind: str
) -> None:
    manifest, claim = COLLISIONS[kind]
    site.install("first", manifest=manifest)
    site.install("second", manifest=manifest)

    with loaded(project, site) as host:
        assert one(host, "first").state == "active"
        assert one(host, "second").error == (
            f"{claim} of second (acme-second 1.0) is already claimed by first (acme-first 1.0)"
        )


def test_a_wildcard_collides_with_a_name_below_it(project: paths.Paths, site: Site) -> None:
    site.install("first", manifest="methods=('second.take',)")
    site.install("second")

    with loaded(project, site) as host:
        assert 'method "second.*"' in one(host, "second").error


def test_two_distributions_with_one_plugin_name_are_told_apart(project: paths.Paths, site: Site) -> None:
    site.install("twin", distribution="acme-twin")
    site.install("twin", distribution="other-twin", package="site_other")

    with loaded(project, site) as host:
        states = {plugin.source.distribution: plugin.state for plugin in host.plugins}
        assert states == {"acme-twin": "active", "other-twin": "failed"}


def test_a_failed_plugin_gives_its_names_back(project: paths.Paths, site: Site) -> None:
    site.install("a_broken", hooks="raise ValueError", manifest="methods=('shared.do',)")
    site.install("b_good", manifest="methods=('shared.do',)")

    with loaded(project, site) as host:
        assert one(host, "b_good").state == "active"


SETTINGS = """
from pydantic import BaseModel, Field
class Door(BaseModel):
    colour: str = "green"
class Settings(BaseModel):
    '''level and door.'''
    level: int = Field(default=3, ge=0)
    front_door: Door = Door()
"""


def test_settings_are_sections_with_provenance_and_follow_the_file(project: paths.Paths, site: Site) -> None:
    site.install(
        "house",
        manifest='settings="site_house.settings:Settings", sections=("front_door",)',
        modules={"settings": SETTINGS},
    )
    with loaded(project, site) as host:
        ctx = host.loaded[one(host, "house")].ctx
        shown = host.settings.current().show()
        assert shown["house"]["level"] == {"value": 3, "source": "default"}
        assert shown["front_door"]["colour"] == {"value": "green", "source": "default"}

        host.settings.set("house.level", "7")
        host.settings.set("front_door.colour", "red")
        assert (ctx.settings.level, ctx.settings.front_door.colour) == (7, "red")
        assert host.settings.current().show()["house"]["level"] == {"value": 7, "source": "config.json"}
        project.config.write_text('{"house": {"level": "high", "levle": 1}}')
        assert ctx.settings.level == 7, "what held before holds until it is mended"
        assert "house.level" in one(host, "house").troubles["settings"]
        project.config.write_text('{"house": {"level": 5, "levle": 1}}')
        problems = {finding.subject: finding.text for finding in host.settings.problems()}
        assert "did you mean house.level?" in problems["house.levle"]
        assert host.settings.sections.get("house") is not None
    assert host.settings.sections.get("house") is None


def test_bad_settings_fail_the_plugin_with_the_key(project: paths.Paths, site: Site) -> None:
    site.install("house", manifest='settings="site_house.settings:Settings"', modules={"settings": SETTINGS})
    project.config.write_text('{"house": {"level": -1}}')

    phase, error = failure(project, site, "house")

    assert phase == "configured"
    assert "house.level" in error


def test_bad_settings_are_told_by_key_and_mended_by_key(project: paths.Paths, site: Site) -> None:
    site.install("house", manifest='settings="site_house.settings:Settings"', modules={"settings": SETTINGS})
    project.config.write_text('{"house": {"level": -1}}')

    with loaded(project, site) as host:
        assert one(host, "house").state == "failed"
        assert "mend it, then: thrum plugin enable house" in one(host, "house").error
        (problem,) = host.settings.problems()
        assert (problem.subject, problem.level) == ("house.level", "error")
        host.settings.set("house.level", "4")
        host._path = [str(site.path)]
        host.run(host.load_again("house"))
        assert one(host, "house").state == "migrated"
        assert host.loaded[one(host, "house")].ctx.settings.level == 4
    assert host.settings.sections.get("house") is None


GUARD = """
@hookimpl
def thrum_guard_scope(ctx): return ["command:*"]
@hookimpl
async def thrum_guard(ctx, call):
    return Verdict(outcome="deny" if ctx.settings.level > 5 else "allow", guard="house", reason="level")
"""


def test_a_guard_with_bad_settings_stays_and_denies(project: paths.Paths, site: Site) -> None:
    site.install(
        "house",
        hooks=GUARD,
        manifest='settings="site_house.settings:Settings", overlay="house.json"',
        modules={"settings": SETTINGS},
    )
    asked = GuardedCall(kind="command", name="team", caller=Caller(kind="user", agent_id="user:ada"))
    project.config.write_text('{"house": {"level": -1}}')

    with loaded(project, site) as host:
        assert one(host, "house").state == "active"
        assert "house.level" in one(host, "house").troubles["settings"]
        denied = host.run(host.guards.judge(asked))
        assert denied is not None and (denied.outcome, denied.reason) == ("deny", "guard_failed")
        assert "house.level" in str(denied.facts)
        host.settings.set("house.level", "4")
        host.hooks.enable(one(host, "house"))
        assert host.run(host.guards.judge(asked)).outcome == "allow"
        assert "settings" not in one(host, "house").troubles

        project.var.mkdir(parents=True, exist_ok=True)
        (project.var / "house.json").write_text('{"level": 9}')
        assert host.run(host.guards.judge(asked)).outcome == "deny"
        assert host.settings.get("house.level").source == "var/house.json"
        (project.var / "house.json").write_text('{"level": "high"}')
        denied = host.run(host.guards.judge(asked))
        assert denied is not None and denied.reason == "guard_failed" and "house.json" in str(denied.facts)


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ('settings="site_house.settings:Settings", overlay="../house.json"', "name of a .json file"),
        ('overlay="house.json"', "there are no settings"),
    ],
)
def test_an_overlay_is_a_file_of_settings(project: paths.Paths, site: Site, manifest: str, told: str) -> None:
    site.install("house", manifest=manifest, modules={"settings": SETTINGS})

    assert told in failure(project, site, "house")[1]


def test_a_section_of_the_kernel_cannot_be_claimed(project: paths.Paths, site: Site) -> None:
    site.install(
        "house",
        manifest='settings="site_house.settings:Settings", sections=("daemon",)',
        modules={"settings": SETTINGS.replace("front_door", "daemon")},
    )

    assert 'settings section "daemon"' in failure(project, site, "house")[1]


def test_presets_are_collected_and_their_processes_known(project: paths.Paths, site: Site) -> None:
    preset = "@hookimpl\ndef thrum_runtime_presets(ctx): return [RuntimePreset(name='{}', display_name='X', command='x', processes=('xd', 'claude'))]"
    site.install("one", hooks=preset.format("x"))
    site.install("two", hooks=preset.format("x"))

    with loaded(project, site) as host:
        assert list(host.presets) == ["x"]
        assert (host.process_names["xd"], host.process_names["claude"]) == ("x", "claude")
        assert 'preset "x" is already there' in one(host, "two").error


def test_steps_and_checks_come_with_their_contexts_in_order(project: paths.Paths, site: Site) -> None:
    hooks = """
        @hookimpl
        def thrum_init_steps(ctx): return [InitStep(name="s", order={order}, run=print)]
        @hookimpl
        def thrum_checks(ctx): return [Check(subject=ctx.name, look=lambda ctx: [])]
    """
    site.install("one", hooks=hooks.format(order=700))
    site.install("two", hooks=hooks.format(order=600))

    with loaded(project, site) as host:
        assert [step.order for step in host.init_steps] == [600, 700]
        assert [(ctx.name, check.subject) for ctx, check in host.checks] == [("one", "one"), ("two", "two")]
