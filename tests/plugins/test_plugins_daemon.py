"""Plugins in a real daemon: what they add is there, what they do wrong hurts nobody else."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest
from plugin_site import Site

from thrum_kernel.bus.blocking import SocketApi
from thrum_kernel.cli import client
from thrum_kernel.errors import MethodNotFound, Timeout
from thrum_kernel.testing.harness import Cli, Repo, request

DIARY = '''
class DiaryWritten(Event, kw_only=True, tag="diary.written"):
    text: str

class Add(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to write."""
    text: str

@hookimpl
def thrum_event_types(ctx):
    return [EventType("diary.written", DiaryWritten)]

@hookimpl
def thrum_migrations(ctx):
    return Tables(
        projected=("CREATE TABLE diary_entry (event_id TEXT PRIMARY KEY, text TEXT NOT NULL)",),
        local=(Migration("diary.0001_heard", ("CREATE TABLE diary_heard (event_id TEXT PRIMARY KEY, type TEXT)",)),),
    )

def written(db, event):
    db.execute("INSERT OR IGNORE INTO diary_entry VALUES (?, ?)", (event.event_id, event.text))

@hookimpl
def thrum_projectors(ctx):
    return [Projector("diary.written", written)]

@hookimpl
def thrum_methods(ctx):
    async def add(call, params):
        return {"event_id": await ctx.emit("diary.written", text=params.text)}
    def entries(call, params):
        return {"entries": [text for (text,) in ctx.read("SELECT text FROM diary_entry ORDER BY event_id")]}
    def heard(call, params):
        return {"heard": ctx.read("SELECT type FROM diary_heard ORDER BY event_id", local=True)}
    class No(msgspec.Struct): "Nothing."
    return [
        Method("diary.add", Add, dict, add, "Write", mutates=True, anonymous=True),
        Method("diary.list", No, dict, entries, "Read", anonymous=True),
        Method("diary.heard", No, dict, heard, "What it heard", anonymous=True),
    ]

@hookimpl
async def thrum_event_committed(ctx, event):
    await ctx.write(lambda db: db.execute("INSERT INTO diary_heard VALUES (?, ?)", (event.event_id, event.type)))
'''


class House:
    """A repository whose daemon has the plugins of a site."""

    def __init__(self, cli: Cli, repo: Repo, site: Site) -> None:
        self.repo = repo
        self.site = site
        self.cli = cli.at(repo.path, PYTHONPATH=str(site.path))

    def call(self, method: str, **params: Any) -> Any:
        return request(self.repo.path / ".thrum" / "var" / "thrum.sock", method, **params)

    def start(self) -> None:
        self.cli("init", "--non-interactive", "--no-daemon")
        self.cli("daemon", "start")

    def restart(self) -> None:
        self.cli("daemon", "restart")

    def plugins(self) -> dict[str, Any]:
        return {row["name"]: row for row in self.call("plugin.list")["plugins"]}

    def log(self) -> str:
        return (self.repo.path / ".thrum" / "var" / "daemon.log").read_text()


@pytest.fixture
def house(cli: Cli, repo: Repo, site: Site) -> House:
    return House(cli, repo, site)


def test_what_a_plugin_adds_is_served(house: House) -> None:
    house.site.install("diary", hooks=DIARY)
    house.start()

    house.call("diary.add", text="hello")

    assert house.call("diary.list") == {"entries": ["hello"]}
    row = house.plugins()["diary"]
    assert (row["state"], row["distribution"], row["version"]) == ("active", "acme-diary", "1.0")


def test_a_plugin_uninstalled_and_installed_again_finds_its_events_projected(house: House) -> None:
    house.site.install("diary", hooks=DIARY)
    house.start()
    house.call("diary.add", text="one")

    house.site.uninstall("diary")
    house.restart()
    refused = house.cli.run("daemon", "status")
    assert "diary" not in house.plugins(), refused.out
    house.site.reinstall("diary")
    house.restart()

    assert house.call("diary.list") == {"entries": ["one"]}
    house.call("diary.add", text="two")
    assert house.call("diary.list") == {"entries": ["one", "two"]}


def wait_for(look: Any, wanted: Any) -> None:
    deadline = time.monotonic() + 10
    while (found := look()) != wanted:
        assert time.monotonic() < deadline, f"{found!r} is not {wanted!r}"
        time.sleep(0.02)


def test_committed_events_are_heard_once_each_over_restarts(house: House) -> None:
    house.site.install("diary", hooks=DIARY)
    house.start()
    house.call("diary.add", text="one")
    wait_for(lambda: house.call("diary.heard"), {"heard": [["diary.written"]]})
    house.restart()
    house.call("diary.add", text="two")

    wait_for(lambda: house.call("diary.heard"), {"heard": [["diary.written"]] * 2})


def test_what_happened_while_a_plugin_was_disabled_is_heard_when_it_comes_back(house: House) -> None:
    house.site.install("diary", hooks=DIARY)
    house.start()
    house.call("diary.add", text="one")
    wait_for(lambda: len(house.call("diary.heard")["heard"]), 1)
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    wait_for(lambda: len(house.call("diary.heard")["heard"]), 3)  # registration and session

    house.cli("plugin", "disable", "diary")
    assert "diary" in house.cli.refused("diary", "x")
    house.cli("send", "while it was away", "--to", "@everyone")
    house.cli("plugin", "enable", "diary")

    wait_for(lambda: house.call("diary.heard")["heard"][-1], ["message.create"])
    assert house.call("diary.list") == {"entries": ["one"]}
    assert house.plugins()["diary"]["state"] == "active"


def test_history_starts_at_the_beginning_of_the_log(house: House) -> None:
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    house.site.install("diary", hooks=DIARY, manifest="history=True")
    house.restart()

    wait_for(lambda: sorted(house.call("diary.heard")["heard"])[0], ["agent.register"])


FAILING_FEED = """
@hookimpl
async def thrum_event_committed(ctx, event):
    if event.type == "message.create" and event.body.content == "poison" and not (ctx.paths.thrum / "cure").exists():
        raise ValueError("cannot swallow")
    if event.type == "message.create":
        await ctx.write(lambda db: db.execute("INSERT INTO picky_eaten VALUES (?)", (event.body.content,)))

@hookimpl
def thrum_migrations(ctx):
    return Tables(local=(Migration("picky.1", ("CREATE TABLE picky_eaten (what TEXT)",)),))

@hookimpl
def thrum_methods(ctx):
    class No(msgspec.Struct): "Nothing."
    def eaten(call, params): return [w for (w,) in ctx.read("SELECT what FROM picky_eaten", local=True)]
    return [Method("picky.eaten", No, list, eaten, "What it took", anonymous=True)]
"""


def test_an_event_that_fails_three_times_is_kept_shown_and_can_be_retried(house: House) -> None:
    house.site.install("picky", hooks=FAILING_FEED)
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    house.cli("send", "poison", "--to", "@everyone")
    house.cli("send", "bread", "--to", "@everyone")
    wait_for(lambda: house.call("picky.eaten"), ["bread"])

    shown = house.cli("plugin", "show", "picky")
    assert "Dead letters" in shown and "cannot swallow" in shown
    assert house.plugins()["picky"]["dead_letters"] == 1
    assert house.cli.run("plugin", "retry", "picky").status == 1
    (house.repo.path / ".thrum" / "cure").touch()
    assert house.cli("plugin", "retry", "picky") == "picky: took 1, 0 left\n"
    assert house.call("picky.eaten") == ["bread", "poison"]


def test_a_hook_that_fails_five_times_is_switched_off_until_it_is_enabled(house: House) -> None:
    house.site.install(
        "facts",
        hooks="""
        @hookimpl
        async def thrum_agent_facts(ctx, agent):
            if not (ctx.paths.thrum / "well").exists():
                raise RuntimeError("no facts today")
            return {"mood": "fine"}
    """,
    )
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    for _ in range(6):
        house.cli("team")
    assert "switched off" in house.plugins()["facts"]["troubles"]["thrum_agent_facts"]
    assert house.log().count("thrum_agent_facts failed: RuntimeError: no facts today") == 1
    assert "acme-facts" in house.cli("daemon", "status")

    (house.repo.path / ".thrum" / "well").touch()
    assert "facts" not in house.cli.json("team")["members"][0]
    assert "thrum_agent_facts" in house.cli("plugin", "enable", "facts")
    assert house.cli.json("team")["members"][0]["facts"] == {"mood": "fine"}


MAKER = """
from thrum_kernel.api import WorktreeChange

@hookimpl
def thrum_methods(ctx):
    class No(msgspec.Struct): "Nothing."
    async def tell(call, params):
        change = WorktreeChange(kind="prepared", path=ctx.paths.repo, branch="main", agents=("ada",))
        return list(await ctx.announce(change))
    return [Method("maker.tell", No, list, tell, "Tell of a worktree", anonymous=True)]
"""
HEARER = """
@hookimpl
async def thrum_worktree(ctx, change):
    with (ctx.paths.thrum / "heard").open("a") as file:
        print(ctx.name, change.kind, change.branch, *change.agents, file=file)
    if ctx.name == "broken":
        raise RuntimeError("cannot hear")
"""


def test_everybody_hears_of_a_worktree_and_who_cannot_is_told_to_whoever_made_it(house: House) -> None:
    house.site.install("maker", hooks=MAKER)
    house.site.install("broken", hooks=HEARER)
    house.site.install("hearer", hooks=HEARER)
    house.start()

    (failed,) = house.call("maker.tell")

    heard = house.repo.path / ".thrum" / "heard"
    assert heard.read_text() == "broken prepared main ada\nhearer prepared main ada\n"
    assert "acme-broken" in failed and "RuntimeError: cannot hear" in failed
    for _ in range(5):
        (failed,) = house.call("maker.tell")
    assert "acme-broken" in failed and "was not told" in failed
    assert heard.read_text().count("broken") == 5 and heard.read_text().count("hearer") == 6


GUARD = """
@hookimpl
def thrum_guard_scope(ctx):
    return ["agent.register", "message.send", "command:team"]

@hookimpl
async def thrum_guard(ctx, call):
    what = (ctx.paths.thrum / "mode").read_text() if (ctx.paths.thrum / "mode").exists() else "allow"
    if what == "hang":
        await asyncio.sleep(60)
    if what == "raise":
        raise RuntimeError("guard broke")
    return Verdict(outcome=what, guard="bouncer", reason="because", facts={"called": call.name}, hint="ask nicely")
"""


def test_a_guard_judges_what_it_names_and_messaging_only_where_it_is_named_for_that(house: House) -> None:
    house.site.install("bouncer", hooks=GUARD)
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    (house.repo.path / ".thrum" / "mode").write_text("deny")

    refused = house.cli.refused("team")
    assert 'identity guard "bouncer" fired: because' in refused and "called: team" in refused
    house.cli("send", "unjudged", "--to", "@everyone")
    house.cli("config", "set", "plugins.messaging_guards", '["bouncer"]')
    assert "called: message.send" in house.cli.refused("send", "judged", "--to", "@everyone")
    (house.repo.path / ".thrum" / "mode").write_text("warn")
    warned = house.cli.run("team")
    assert warned.status == 0 and "because" in warned.err


@pytest.mark.parametrize("mode", ["raise", "hang"])
def test_a_guard_that_fails_denies_what_it_judges_at_once_until_it_is_enabled(
    house: House, mode: str
) -> None:
    house.site.install("bouncer", hooks=GUARD)
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    house.cli("config", "set", "plugins.hook_timeout", "0.2")
    (house.repo.path / ".thrum" / "mode").write_text(mode)

    assert "acme-bouncer" in house.cli.refused("team")
    (house.repo.path / ".thrum" / "mode").write_text("allow")
    assert "guard_failed" in house.cli.refused("team"), "it is not called any more"
    house.cli("send", "messaging works throughout", "--to", "@everyone")
    house.cli("inbox")
    house.cli("plugin", "enable", "bouncer")
    assert "ada" in house.cli("team")


def test_what_was_mended_loads_with_the_next_daemon_and_nothing_is_remembered(house: House) -> None:
    house.site.install("bouncer", hooks=GUARD)
    house.site.install("frail", hooks="raise RuntimeError('broken release')")
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    (house.repo.path / ".thrum" / "mode").write_text("raise")
    assert "guard broke" in house.cli.refused("team")
    assert house.plugins()["frail"]["state"] == "failed"
    (house.site.path / "site_frail" / "hooks.py").write_text("")

    house.restart()

    assert {row["state"] for name, row in house.plugins().items() if name in ("bouncer", "frail")} == {
        "active"
    }
    assert "guard broke" in house.cli.refused("team"), "a guard that still fails denies, asked anew"
    (house.repo.path / ".thrum" / "mode").write_text("allow")
    assert "guard_failed" in house.cli.refused("team")
    house.restart()
    assert "ada" in house.cli("team")


BLOCKING = """
class No(msgspec.Struct): "Nothing."

@hookimpl
def thrum_methods(ctx):
    async def block(call, params):
        (ctx.paths.thrum / "blocking").touch()
        while not (ctx.paths.thrum / "enough").exists():
            time.sleep(0.01)
        return {}
    return [Method("blocking.now", No, dict, block, "Block", anonymous=True)]
"""


def test_a_client_that_waits_is_told_which_plugin_keeps_the_daemon(house: House) -> None:
    house.site.install("blocking", hooks=BLOCKING)
    house.start()
    house.cli("config", "set", "plugins.hook_timeout", "60")
    var = house.repo.path / ".thrum" / "var"
    blocker = threading.Thread(target=lambda: house.call("blocking.now"))
    blocker.start()
    try:
        wait_for((var / "blocked").exists, True)
        with SocketApi(var / "thrum.sock", timeout_s=0.2) as api, pytest.raises(Timeout) as told:
            api.call("health")
        said = client.blocker(os.fsencode(var / "thrum.sock")).decode()
    finally:
        (house.repo.path / ".thrum" / "enough").touch()
        blocker.join()
    for text in (str(told.value), said):
        assert ": plugin blocking (acme-blocking 1.0) has blocked the loop for over " in text
        assert "blocking.now" in text and "hooks.py" in text
    wait_for((var / "blocked").exists, False)
    assert client.blocker(os.fsencode(var / "thrum.sock")) == b""


def test_a_wake_rung_is_climbed_and_its_evidence_kept(house: House) -> None:
    house.site.install(
        "bell",
        hooks="""
        @hookimpl
        async def thrum_wake(ctx, wake):
            return Evidence("injected", "bell", wake.message_ids)
    """,
    )
    house.start()
    ada, bob = (house.cli.at(house.repo.worktree(name).path) for name in ("one", "two"))
    ada("quickstart", "ada", "--role", "implementer", "--module", "auth")
    bob("quickstart", "bob", "--role", "implementer", "--module", "auth")
    ada("send", "ring", "--to", "@bob")

    wait_for(lambda: "injected" in ada("sent"), True)


def test_a_rung_may_answer_later_with_a_coroutine_that_takes_longer_than_a_hook(house: House) -> None:
    house.site.install(
        "bell",
        hooks="""
        @hookimpl
        async def thrum_wake(ctx, wake):
            async def ring():
                await asyncio.sleep(0.5)
                return Evidence("injected", "slow bell", wake.message_ids)
            return ring()
    """,
    )
    house.cli("init", "--non-interactive", "--no-daemon")
    house.cli("config", "set", "plugins.hook_timeout", "0.2")
    house.cli("daemon", "start")
    ada, bob = (house.cli.at(house.repo.worktree(name).path) for name in ("one", "two"))
    ada("quickstart", "ada", "--role", "implementer", "--module", "auth")
    bob("quickstart", "bob", "--role", "implementer", "--module", "auth")
    ada("send", "ring", "--to", "@bob")

    wait_for(lambda: "injected" in ada("sent"), True)


def test_a_method_or_command_of_a_plugin_that_is_not_installed_names_what_to_install(house: House) -> None:
    house.start()
    with pytest.raises(AssertionError, match=r"tmux\.create"):
        house.call("tmux.create")
    assert "thrum-tmux" in house.cli.refused("tmux", "create")
    assert "thrum-tmux" in house.cli.in_process().refused("tmux", "create")


COMMANDS = """commands=(
    PluginCommand(words=("greet", "inside"), target="site_greet.commands:inside", help="In the daemon", in_daemon=True),
    PluginCommand(words=("greet", "outside"), target="site_greet.commands:outside", help="In process"),
    PluginCommand(words=("greet", "broken"), target="site_greet.broken:run", help="Cannot be imported", in_daemon=True),
    PluginCommand(words=("greet", "ends"), target="site_greet.ends:run", help="Ends the process"),
)"""


def test_commands_run_where_their_contract_says_and_one_that_cannot_be_imported_hurts_no_other(
    house: House,
) -> None:
    house.site.install(
        "greet",
        has_hooks=False,
        manifest=COMMANDS,
        modules={
            "commands": """
                import os, typer
                from thrum_kernel.api_commands import run_of
                def inside(ctx: typer.Context) -> None:
                    run_of(ctx).out.json({"in_daemon": run_of(ctx).inv.in_daemon})
                    run_of(ctx).out.line(f"in daemon: {run_of(ctx).inv.in_daemon}")
                def outside(ctx: typer.Context, name: str = "you") -> None:
                    run_of(ctx).out.line(f"in daemon: {run_of(ctx).inv.in_daemon} {name}")
            """,
            "broken": "import nothing_like_this",
            "ends": "raise SystemExit(7)",
        },
    )
    house.start()

    assert house.cli("greet", "inside") == "in daemon: True\n"
    assert house.cli("greet", "outside", "--name", "Ada") == "in daemon: False Ada\n"
    assert house.cli("greet", "--name", "Ada", "outside") == "in daemon: False Ada\n"
    for broken in ("broken", "ends"):
        refused = house.cli.refused("greet", broken)
        assert "acme-greet" in refused and "cannot be imported" in refused
    assert "Cannot be imported" in house.cli("greet", "--help")
    house.cli("plugin", "list")


def test_preamble_and_sections_of_the_briefing_come_from_plugins(house: House) -> None:
    house.site.install(
        "brief",
        hooks="""
        @hookimpl
        async def thrum_preamble(ctx, agent):
            return f"You are {agent.name}, a careful {agent.role}."
        @hookimpl
        async def thrum_prime(ctx, agent):
            return [PrimeSection(key="weather", order=650, text="# Weather\\nSunny", data={"sky": "blue"})]
        """,
    )
    house.site.install("rain", hooks="@hookimpl\nasync def thrum_prime(ctx): raise ValueError('wet')\n")
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")

    told = house.cli("prime")
    assert "You are ada, a careful implementer." in told and "Sunny" in told
    assert house.cli.json("prime")["weather"] == {"sky": "blue"}
    assert "wet" in house.plugins()["rain"]["troubles"]["thrum_prime"]


def test_a_plugin_decides_between_identities_that_fit_and_nobody_else(house: House) -> None:
    house.site.install(
        "oracle",
        hooks="""
        @hookimpl
        async def thrum_identify(ctx, facts):
            wish = ctx.paths.thrum / "wish"
            name = wish.read_text() if wish.exists() else ""
            return Caller(kind="agent", agent_id=name) if name else None
        """,
    )
    house.start()
    place = house.cli.at(house.repo.worktree("shared").path)
    for name in ("ada", "bob"):
        place("quickstart", name, "--role", "implementer", "--module", "auth", "--force")
    refused = place.run("send", "who am I?", "--to", "@everyone")
    assert refused.status == 1 and "ada" in refused.err and "bob" in refused.err

    wish = house.repo.path / ".thrum" / "wish"
    wish.write_text("eve")
    assert place.run("send", "not eve", "--to", "@everyone").status == 1
    wish.write_text("bob")
    sent = place.json("send", "it is bob", "--to", "@everyone")
    shown = place.at(place.cwd, THRUM_NAME="ada").json("message", "get", sent["message_id"])
    assert shown["message"]["author"]["agent_id"] == "bob"


SERVICES = """
@hookimpl
def thrum_services(ctx):
    async def crashes(started):
        started()
        raise RuntimeError("again and again")
    async def stubborn(started):
        started()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue
    async def leaves(started):
        started()
        raise SystemExit(9)
    async def interrupts(started):
        started()
        raise KeyboardInterrupt
    return [Service("works.interrupts", interrupts), Service("works.crashes", crashes), Service("works.stubborn", stubborn, 0.2), Service("works.leaves", leaves)]
"""


def test_services_that_crash_end_or_ignore_their_cancellation_are_named_and_the_daemon_ends(
    house: House,
) -> None:
    house.site.install("works", hooks=SERVICES)
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    house.cli("send", "still here", "--to", "@everyone")

    troubles = house.plugins()["works"]["troubles"]
    assert "again and again" in troubles["service works.crashes"]
    assert "SystemExit" in troubles["service works.leaves"]
    assert "KeyboardInterrupt" in troubles["service works.interrupts"]
    house.cli("daemon", "stop")
    assert "works.stubborn of plugin works (acme-works 1.0) ignores its cancellation" in house.log()
    assert house.cli.json("daemon", "status")["running"] is False


def test_a_plugin_sends_under_its_claimed_name_only_and_hears_what_is_sent_to_it(house: House) -> None:
    house.site.install(
        "post",
        manifest='senders=("post:*",)',
        hooks="""
        class Send(msgspec.Struct, kw_only=True): "What."; sender: str = "post:office"; again: str = ""
        @hookimpl
        def thrum_methods(ctx):
            async def send(call, params):
                return await ctx.send("A parcel", to="@ada", sender=params.sender, request_id=params.again)
            return [Method("post.send", Send, str, send, "Send", anonymous=True)]
        """,
    )
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")

    once, again = (house.call("post.send", again="parcel-1") for _ in range(2))
    assert once == again, "a retry does not send twice"
    (message,) = house.cli.json("inbox")["messages"]
    assert "post:office" in str(message) and "A parcel" in str(message)
    with pytest.raises(AssertionError, match="does not claim that sender"):
        house.call("post.send", sender="ada")
    house.cli("reply", once, "thanks")
    assert "post:office" in house.cli("sent")


def test_a_method_that_fails_names_its_plugin_and_the_next_one_works(house: House) -> None:
    house.site.install(
        "shaky",
        hooks="""
        class No(msgspec.Struct): "Nothing."
        @hookimpl
        def thrum_methods(ctx):
            def at_once(call, params): raise KeyError("oops")
            async def later(call, params): raise SystemExit(2)
            def stops(call, params): raise KeyboardInterrupt
            async def stops_later(call, params): raise KeyboardInterrupt
            def refuses(call, params): raise UsageError("not like this")
            return [
                Method("shaky.at_once", No, str, at_once, "x", anonymous=True),
                Method("shaky.later", No, str, later, "x", anonymous=True),
                Method("shaky.stops", No, str, stops, "x", anonymous=True),
                Method("shaky.stops_later", No, str, stops_later, "x", anonymous=True),
                Method("shaky.refuses", No, str, refuses, "x", anonymous=True),
            ]
        """,
    )
    house.start()

    for name, told in (
        ("at_once", "KeyError: 'oops'"),
        ("later", "SystemExit"),
        ("stops", "KeyboardInterrupt"),
        ("stops_later", "KeyboardInterrupt"),
        ("refuses", "not like this"),
    ):
        with pytest.raises(AssertionError) as raised:
            house.call(f"shaky.{name}")
        assert told in str(raised.value)
        assert ("acme-shaky" in str(raised.value)) == (name != "refuses")
    assert house.log().count("method shaky.at_once failed") == 1


def test_a_failing_plugin_is_named_in_list_status_log_and_where_its_command_is_asked_for(
    house: House,
) -> None:
    house.site.install(
        "broken",
        hooks="raise ValueError('at import')",
        manifest='commands=(PluginCommand(words=("broken", "do"), target="x:y", help="Do", in_daemon=True),)',
    )
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    house.cli("send", "messaging works", "--to", "@everyone")

    for words in (("plugin", "list"), ("daemon", "status"), ("plugin", "show", "broken")):
        told = house.cli(*words)
        assert "acme-broken" in told and "ValueError: at import" in told, words
    assert house.log().count("acme-broken") == 1
    assert "plugin broken (acme-broken 1.0) is failed" in house.cli.refused("broken", "do")
    assert "acme-broken" in house.cli.in_process()("plugin", "list")
    with pytest.raises(AssertionError) as raised:
        house.call("broken.do")
    assert isinstance(raised.value.__cause__, MethodNotFound)
    assert "plugin broken (acme-broken 1.0) is failed" in str(raised.value.__cause__.hint)
    for state in ("running", "stopped"):
        assert "  broken (acme-broken 1.0) is failed: " in house.cli.run("doctor").out, state
        if state == "running":
            house.cli("daemon", "stop")


def test_strict_stops_the_start(house: House) -> None:
    house.site.install("broken", hooks="raise ValueError('at import')")
    house.cli("init", "--non-interactive", "--no-daemon")

    strict = house.cli.at(house.repo.path, THRUM_PLUGINS_STRICT="1")
    assert "acme-broken" in strict.refused("daemon", "start")


def test_local_events_and_topics_reach_plugins_and_no_journal(house: House) -> None:
    house.site.install(
        "ticker",
        hooks="""
        class Tick(Event, kw_only=True, tag="ticker.tick"):
            number: int
        class No(msgspec.Struct): "Nothing."
        heard = []
        @hookimpl
        def thrum_event_types(ctx): return [EventType("ticker.tick", Tick, scope="local")]
        @hookimpl
        def thrum_methods(ctx):
            async def tick(call, params):
                end = ctx.subscribe("ticker.tick", lambda payload: heard.append(payload["number"]))
                ctx.subscribe("ticker.news", lambda payload: heard.append(payload))
                await ctx.emit("ticker.tick", number=7)
                ctx.publish("news", "extra")
                await asyncio.sleep(0.05)
                end()
                await ctx.emit("ticker.tick", number=8)
                return "ok"
            return [
                Method("ticker.tick", No, str, tick, "Tick", anonymous=True),
                Method("ticker.heard", No, list, lambda call, params: sorted(map(str, heard)), "Heard", anonymous=True),
            ]
        @hookimpl
        async def thrum_event_committed(ctx, event):
            if event.type == "ticker.tick":
                heard.append(f"hook {event.number}")
        """,
    )
    house.start()
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    house.call("ticker.tick")

    wait_for(lambda: house.call("ticker.heard"), ["7", "extra", "hook 7", "hook 8"])
    journals = list((house.repo.path / ".git" / "thrum-sync" / "journal").glob("*.jsonl"))
    assert journals and not any("ticker.tick" in journal.read_text() for journal in journals)


def test_config_show_tells_a_plugin_s_settings_with_where_they_come_from(house: House) -> None:
    house.site.install(
        "lamp",
        has_hooks=True,
        manifest='settings="site_lamp.settings:Settings"',
        modules={
            "settings": "from pydantic import BaseModel\nclass Settings(BaseModel):\n    level: int = 3\n"
        },
    )
    house.start()
    assert house.cli.json("config", "show")["lamp"]["level"] == {"value": 3, "source": "default"}
    house.cli("quickstart", "ada", "--role", "implementer", "--module", "auth")
    house.cli("config", "set", "lamp.level", "5")

    assert house.cli.json("config", "show")["lamp"]["level"] == {"value": 5, "source": "config.json"}
    assert "Lamp" in house.cli("config", "show")
    house.cli("daemon", "stop")
    assert house.cli.json("config", "show")["lamp"]["level"] == {"value": 5, "source": "config.json"}
