"""Everything a plugin can do wrong, in one daemon: messages go on, and the culprit is named.

All broken plugins are installed at once beside a good one. Each row does what brings its fault to light, and then
sends a message and reads it; in ``plugin list``, in ``daemon status`` and once in the log stands whose fault it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from thrum_kernel.testing.harness import Cli, Repo, clean_environment, request, stop_daemon
from thrum_kernel.testing.site import Site
from thrum_kernel.testing.spawner import Spawner
from thrum_kernel.testing.waiting import until

HOOK_TIMEOUT_S = 0.5
PATIENCE_S = 20.0

INSTALLED = sorted({entry.name for entry in metadata.entry_points(group="thrum.plugins")})
"""What is installed beside thrum where the tests run; switched off, so that every fault is ours."""


@dataclass
class House:
    """A daemon with every broken plugin, and two agents who write to each other."""

    repo: Repo
    ada: Cli
    bob: Cli
    sent: int = 0
    provoked: set[str] = field(default_factory=set)

    def provoke(self, name: str) -> None:
        """Have a plugin do what it does wrong, and wait until that is known; once is enough."""
        if name not in self.provoked:
            self.provoked.add(name)
            FAULTS[name].provoke(self)
            until(lambda: FAULTS[name].told in json.dumps(self.rows()[name], ensure_ascii=False))

    def rows(self) -> dict[str, Any]:
        """What ``daemon.status`` says of the plugins, by name."""
        found = request(self.repo.path / ".thrum" / "var" / "thrum.sock", "daemon.status")["plugins"]
        return {row["name"]: row for row in found}

    def exchange(self) -> None:
        """A message goes and arrives."""
        self.sent += 1
        sent = self.ada.json("send", f"message {self.sent}", "--to", "@bob")
        inbox = self.bob.json("inbox")["messages"]
        assert sent["message_id"] in {message["message_id"] for message in inbox}

    def log(self) -> list[str]:
        return (self.repo.path / ".thrum" / "var" / "daemon.log").read_text().splitlines()

    def flag(self, name: str) -> Path:
        """A file that a plugin looks for, to do wrong only from then on."""
        return self.repo.path / ".thrum" / name


@dataclass(frozen=True)
class Fault:
    """A plugin that does something wrong.

    Attributes:
        told: what is said about it, wherever it is named.
        hooks, manifest, plugin, modules: see `Site.install`.
        state: what becomes of the plugin.
        provoke: brings the fault to light, where loading the plugin does not.
    """

    told: str
    hooks: str = ""
    manifest: str = ""
    plugin: str | None = None
    modules: dict[str, str] = field(default_factory=dict)
    state: str = "failed"
    provoke: Callable[[House], object] = lambda house: None


NO_PARAMS = 'class No(msgspec.Struct):\n    "Nothing."\n'


def method(name: str) -> str:
    return (
        f"{NO_PARAMS}@hookimpl\ndef thrum_methods(ctx):\n"
        f"    return [Method({name!r}, No, dict, lambda call, params: {{}}, 'For tests')]\n"
    )


def service(name: str, body: str) -> str:
    return (
        "@hookimpl\ndef thrum_services(ctx):\n    async def run(started):\n        started()\n"
        + "".join(f"        {line}\n" for line in body.splitlines())
        + f"    return [Service({name!r}, run, stop_time_s=0.2)]\n"
    )


def message(house: House) -> None:
    house.exchange()


def team(house: House) -> None:
    house.ada("team")


def context(house: House) -> None:
    assert "broken_guard (acme-broken-guard 1.0)" in house.ada.refused("context", "show")


def overview(house: House) -> None:
    refused = house.ada.refused("overview")
    assert "slow_guard (acme-slow-guard 1.0)" in refused and "guard_failed" in refused
    assert "guard_failed" in house.ada.refused("overview"), "it is asked no more and denies at once"


def rebuild(house: House) -> None:
    house.exchange()
    house.flag("replaying").touch()
    house.ada("plugin", "rebuild", "no_replay")


def greet(house: House) -> None:
    for _ in range(2):
        refused = house.ada.refused("no-command", "greet")
        assert "acme-no-command" in refused and "cannot be imported" in refused


def disable(house: House) -> None:
    house.ada("plugin", "disable", "stubborn")


FAULTS = {
    "import_error": Fault("ValueError: broken at import", "raise ValueError('broken at import')"),
    "exits": Fault("it raised SystemExit(3)", "sys.exit(3)"),
    "missing": Fault("No module named 'no_such_module_here'", "import no_such_module_here"),
    "no_manifest": Fault("no PluginManifest but dict", plugin="MANIFEST = {'name': 'no_manifest'}"),
    "bad_manifest": Fault("unknown capabilities magic", manifest="capabilities=frozenset({'magic'})"),
    "exits_early": Fault("it raised SystemExit(4)", plugin="raise SystemExit(4)"),
    "wrong_colour": Fault(
        "thrum_hints must be async def", "@hookimpl\ndef thrum_hints(ctx, moment): return []"
    ),
    "unknown_hook": Fault(
        "unknown hook thrum_hint, did you mean thrum_hints?",
        "@hookimpl\nasync def thrum_hint(moment): return []",
    ),
    "takes_a_method": Fault("is already claimed by", method("message.send"), "methods=('message.send',)"),
    "takes_a_name": Fault("is already claimed by good (acme-good 1.0)", manifest="nouns=('goods',)"),
    "bad_settings": Fault(
        "bad_settings.level",
        manifest='settings="site_bad_settings.settings:Settings"',
        modules={
            "settings": """
                from pydantic import BaseModel, Field
                class Settings(BaseModel):
                    level: int = Field(default=3, ge=0)
            """
        },
    ),
    "bad_migration": Fault(
        "syntax error",
        "@hookimpl\ndef thrum_migrations(ctx):"
        " return Tables(local=(Migration('bad_migration.1', ('CREATE TABEL',)),))",
    ),
    "takes_a_table": Fault(
        "not authorized",
        "@hookimpl\ndef thrum_migrations(ctx):"
        " return Tables(local=(Migration('takes_a_table.1', ('CREATE TABLE read_mark (x)',)),))",
    ),
    "raises_adding": Fault(
        "thrum_methods: KeyError: 'boom'", "@hookimpl\ndef thrum_methods(ctx): raise KeyError('boom')"
    ),
    "hangs_adding": Fault(
        f"thrum_methods: took longer than {HOOK_TIMEOUT_S} s",
        "@hookimpl\ndef thrum_methods(ctx): time.sleep(600)",
    ),
    "raises_asked": Fault(
        "RuntimeError: no facts today",
        "@hookimpl\nasync def thrum_agent_facts(ctx, agent): raise RuntimeError('no facts today')",
        state="active",
        provoke=team,
    ),
    "hangs_asked": Fault(
        f"took longer than {HOOK_TIMEOUT_S} s",
        "@hookimpl\nasync def thrum_agent_facts(ctx, agent): await asyncio.sleep(600)",
        state="active",
        provoke=team,
    ),
    "never_ends": Fault(
        "blocked the loop",
        "@hookimpl\nasync def thrum_agent_facts(ctx, agent):\n    while True: pass",
        state="active",
        provoke=team,
    ),
    "sleeps": Fault(
        "blocked the loop",
        "@hookimpl\nasync def thrum_agent_facts(ctx, agent): time.sleep(600)",
        state="active",
        provoke=team,
    ),
    "answers_nonsense": Fault(
        "gave no Mapping but ['nonsense']",
        "@hookimpl\nasync def thrum_agent_facts(ctx, agent): return ['nonsense']",
        state="active",
        provoke=team,
    ),
    "raises_told": Fault(
        "LookupError: no idea what that is",
        "@hookimpl\nasync def thrum_event_committed(ctx, event): raise LookupError('no idea what that is')",
        state="active",
        provoke=message,
    ),
    "hangs_told": Fault(
        f"took longer than {HOOK_TIMEOUT_S} s",
        "@hookimpl\nasync def thrum_event_committed(ctx, event): await asyncio.sleep(600)",
        state="active",
        provoke=message,
    ),
    "raises_waking": Fault(
        "ConnectionError: no bell to ring",
        "@hookimpl\nasync def thrum_wake(ctx, wake): raise ConnectionError('no bell to ring')",
        state="active",
        provoke=message,
    ),
    "hangs_waking": Fault(
        f"took longer than {HOOK_TIMEOUT_S} s",
        "@hookimpl\nasync def thrum_wake(ctx, wake): await asyncio.sleep(600)",
        state="active",
        provoke=message,
    ),
    "lies_waking": Fault(
        "gave no evidence about this wake",
        "@hookimpl\nasync def thrum_wake(ctx, wake): return Evidence('seen', 'guess', ('msg_other',))",
        state="active",
        provoke=message,
    ),
    "broken_guard": Fault(
        "AssertionError: cannot judge",
        "@hookimpl\ndef thrum_guard_scope(ctx): return ['command:context show']\n"
        "@hookimpl\nasync def thrum_guard(ctx, call): raise AssertionError('cannot judge')",
        state="active",
        provoke=context,
    ),
    "slow_guard": Fault(
        f"took longer than {HOOK_TIMEOUT_S} s",
        "@hookimpl\ndef thrum_guard_scope(ctx): return ['command:overview', 'message.send']\n"
        "@hookimpl\nasync def thrum_guard(ctx, call): await asyncio.sleep(600)",
        state="active",
        provoke=overview,
    ),
    "crashes": Fault(
        "OSError: down again",
        service("crashes.loop", "raise OSError('down again')"),
        state="active",
    ),
    "stubborn": Fault(
        "ignores its cancellation; left behind",
        service(
            "stubborn.loop",
            "while True:\n    try:\n        await asyncio.sleep(600)\n"
            "    except asyncio.CancelledError:\n        pass",
        ),
        state="disabled",
        provoke=disable,
    ),
    "no_replay": Fault(
        "ZeroDivisionError: not again",
        "@hookimpl\ndef thrum_migrations(ctx):\n"
        "    return Tables(projected=('CREATE TABLE no_replay_seen (id TEXT PRIMARY KEY)',))\n"
        "@hookimpl\ndef thrum_projectors(ctx):\n"
        "    def apply(db, event):\n"
        "        if (ctx.paths.thrum / 'replaying').exists(): raise ZeroDivisionError('not again')\n"
        "        db.execute('INSERT OR IGNORE INTO no_replay_seen VALUES (?)', (event.event_id,))\n"
        "    return [Projector('message.create', apply)]\n",
        state="active",
        provoke=rebuild,
    ),
    "no_command": Fault(
        "cannot be imported",
        manifest="commands=(PluginCommand(words=('no-command', 'greet'),"
        " target='site_no_command.broken:run', help='Greet', in_daemon=True),)",
        modules={"broken": "import nothing_like_this"},
        state="active",
        provoke=greet,
    ),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "home").mkdir()
    site = Site(folder / "site")
    site.path.mkdir()
    site.install("good", manifest="nouns=('goods',)")
    for name, fault in FAULTS.items():
        site.install(
            name, hooks=fault.hooks, manifest=fault.manifest, plugin=fault.plugin, modules=fault.modules
        )
    env = {
        **clean_environment(folder / "home"),
        "PYTHONPATH": str(site.path),
        "THRUM_PLUGINS_DISABLE": ",".join(INSTALLED),
    }
    repo = Repo.make(folder / "project", env)
    cli = Cli(thrum_spawner, repo.path, env)
    cli.at(repo.path, THRUM_PLUGINS_AUTOLOAD="0")("init", "--non-interactive", "--no-daemon")
    config = repo.path / ".thrum" / "config.json"
    values = json.loads(config.read_text())
    values["bad_settings"] = {"level": -1}
    values.setdefault("plugins", {})["hook_timeout"] = HOOK_TIMEOUT_S
    config.write_text(json.dumps(values))
    cli("daemon", "start")
    ada, bob = (cli.at(repo.worktree(name).path) for name in ("ada", "bob"))
    for name, agent in (("ada", ada), ("bob", bob)):
        agent("quickstart", name, "--role", "implementer", "--module", "core")
    yield House(repo, ada, bob)
    stop_daemon(cli)


def lines_about(text: str, distribution: str) -> str:
    """What a listing says of the plugin of *distribution*: its line, and those below that are further in."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if f"  {distribution} 1.0" in line)
    depth = len(lines[start]) - len(lines[start].lstrip())
    found = [lines[start]]
    for line in lines[start + 1 :]:
        if len(line) - len(line.lstrip()) <= depth:
            break
        found.append(line)
    return "\n".join(found)


@pytest.mark.parametrize("name", FAULTS)
def test_messages_go_on_and_the_culprit_is_named(house: House, name: str) -> None:
    fault = FAULTS[name]
    distribution = f"acme-{name.replace('_', '-')}"
    house.provoke(name)

    house.exchange()

    about = lines_about(house.ada("plugin", "list"), distribution)
    assert fault.state in about.split() and fault.told in about
    assert (house.rows()[name]["state"], house.rows()[name]["distribution"]) == (fault.state, distribution)
    label = f"{name} ({distribution} 1.0)"
    logged = [line for line in house.log() if label in line and fault.told in line]
    beside = ("switched off", "given up", "has blocked the loop")  # the last is told while it does
    causes = [line for line in logged if not any(words in line for words in beside)]
    assert len(causes) == 1, "\n".join(logged)


def test_the_status_of_the_daemon_names_all_of_them(house: House) -> None:
    for name in FAULTS:
        house.provoke(name)

    shown = house.ada("daemon", "status")

    for name, fault in FAULTS.items():
        about = lines_about(shown, f"acme-{name.replace('_', '-')}")
        assert fault.state in about.split() and fault.told in about


def test_the_good_plugin_works_beside_them(house: House) -> None:
    listed = house.rows()

    assert listed["good"]["state"] == "active" and "troubles" not in listed["good"]
    assert set(listed) == {"good", *FAULTS, *INSTALLED}


def test_a_guard_that_a_person_named_for_messaging_and_that_fails_denies_it(house: House) -> None:
    house.ada("config", "set", "plugins.messaging_guards", json.dumps(["slow_guard"]))

    refused = house.ada.refused("send", "judged", "--to", "@bob")

    assert "slow_guard (acme-slow-guard 1.0)" in refused and "refused: method message.send" in refused
    assert "thrum plugin disable slow_guard" in refused
    house.bob("inbox")
    house.ada("config", "set", "plugins.messaging_guards", "[]")
    house.exchange()


def test_the_daemon_ends_and_starts_with_all_of_them(house: House) -> None:
    house.ada("daemon", "restart")

    house.exchange()
