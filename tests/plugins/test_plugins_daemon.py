"""Plugins in a real daemon: what they add is there, what they do wrong hurts nobody else.

All of them live in one house; what needs a daemon of its own is in ``test_plugins_restarts.py``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from plugin_diary import DIARY
from plugin_house import House, house_of_its_own, wait_for

from thrum_kernel.bus.blocking import SocketApi
from thrum_kernel.cli import client
from thrum_kernel.errors import MethodNotFound, Timeout
from thrum_kernel.testing.spawner import Spawner

PLUGINS: dict[str, dict[str, Any]] = {}
"""What is installed in the house of all tests, by name; each stands where it is tested."""


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, kernel_alone: dict[str, str], thrum_spawner: Spawner
) -> Iterator[House]:
    """One for all tests: they add to it, and leave its daemon running."""
    folder = tmp_path_factory.mktemp("house")
    with house_of_its_own(folder, kernel_alone, thrum_spawner, PLUGINS) as made:
        yield made


PLUGINS["diary"] = {"hooks": DIARY}


def test_what_a_plugin_adds_is_served(house: House) -> None:
    house.call("diary.add", text="hello")

    assert house.call("diary.list") == {"entries": ["hello"]}
    row = house.plugins()["diary"]
    assert (row["state"], row["distribution"], row["version"]) == ("active", "acme-diary", "1.0")


PLUGINS["away"] = {"hooks": DIARY.replace("diary", "away")}


def test_what_happened_while_a_plugin_was_disabled_is_heard_when_it_comes_back(house: House) -> None:
    def heard() -> list[str]:
        return [kind for (kind,) in house.call("away.heard")["heard"]]

    house.call("away.add", text="one")
    wait_for(lambda: "away.written" in heard(), True)
    messages = heard().count("message.create")

    house.cli("plugin", "disable", "away")
    assert "away" in house.cli.refused("away", "x")
    house.cli("send", "while it was away", "--to", "@everyone")
    house.cli("plugin", "enable", "away")

    wait_for(lambda: heard().count("message.create"), messages + 1)
    assert house.call("away.list") == {"entries": ["one"]}
    assert house.plugins()["away"]["state"] == "active"


def test_history_starts_at_the_beginning_of_the_log(house: House) -> None:
    house.site.install("late", hooks=DIARY.replace("diary", "late"), manifest="history=True")
    house.restart()

    wait_for(lambda: sorted(house.call("late.heard")["heard"])[0], ["agent.register"])


FAILING_FEED = """
@hookimpl
async def thrum_event_committed(ctx, event):
    if event.type == "message.create" and event.body.content == "poison" and not (ctx.paths.thrum / "cure").exists():
        raise ValueError("cannot swallow")
    if event.type == "message.create" and event.body.content in ("poison", "bread"):
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
PLUGINS["picky"] = {"hooks": FAILING_FEED}


def test_an_event_that_fails_three_times_is_kept_shown_and_can_be_retried(house: House) -> None:
    house.cli("send", "poison", "--to", "@everyone")
    house.cli("send", "bread", "--to", "@everyone")
    wait_for(lambda: house.call("picky.eaten"), ["bread"])

    shown = house.cli("plugin", "show", "picky")
    assert "Dead letters" in shown and "cannot swallow" in shown
    assert house.plugins()["picky"]["dead_letters"] == 1
    assert house.cli.run("plugin", "retry", "picky").status == 1
    (house.thrum / "cure").touch()
    assert house.cli("plugin", "retry", "picky") == "picky: took 1, 0 left\n"
    assert house.call("picky.eaten") == ["bread", "poison"]


PLUGINS["facts"] = {
    "hooks": """
    @hookimpl
    async def thrum_agent_facts(ctx, agent):
        if (ctx.paths.thrum / "ill").exists():
            raise RuntimeError("no facts today")
        return {"mood": "fine"}
"""
}


def test_a_hook_that_fails_five_times_is_switched_off_until_it_is_enabled(house: House) -> None:
    house.join("cyd")  # so another call is under way when the fifth fails
    (house.thrum / "ill").touch()
    for _ in range(6):
        house.cli("team")
    assert "switched off" in house.plugins()["facts"]["troubles"]["thrum_agent_facts"]
    assert house.log().count("thrum_agent_facts failed: RuntimeError: no facts today") == 1
    assert "acme-facts" in house.cli("daemon", "status")

    (house.thrum / "ill").unlink()
    assert not [member for member in house.cli.json("team")["members"] if "facts" in member]
    assert "thrum_agent_facts" in house.cli("plugin", "enable", "facts")
    assert all(member["facts"] == {"mood": "fine"} for member in house.cli.json("team")["members"])


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
    if ctx.name == "deaf":
        raise RuntimeError("cannot hear")
"""
PLUGINS["maker"] = {"hooks": MAKER}
PLUGINS["deaf"] = {"hooks": HEARER}
PLUGINS["hearer"] = {"hooks": HEARER}


def test_everybody_hears_of_a_worktree_and_who_cannot_is_told_to_whoever_made_it(house: House) -> None:
    (failed,) = house.call("maker.tell")

    heard = house.thrum / "heard"
    assert heard.read_text() == "deaf prepared main ada\nhearer prepared main ada\n"
    assert "acme-deaf" in failed and "RuntimeError: cannot hear" in failed
    for _ in range(5):
        (failed,) = house.call("maker.tell")
    assert "acme-deaf" in failed and "was not told" in failed
    assert heard.read_text().count("deaf") == 5 and heard.read_text().count("hearer") == 6


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
PLUGINS["blocking"] = {"hooks": BLOCKING}


def test_a_client_that_waits_is_told_which_plugin_keeps_the_daemon(house: House) -> None:
    house.cli("config", "set", "plugins.hook_timeout", "60")
    var = house.thrum / "var"
    blocker = threading.Thread(target=lambda: house.call("blocking.now"))
    blocker.start()
    try:
        wait_for((var / "blocked").exists, True)
        with SocketApi(var / "thrum.sock", timeout_s=0.2) as api, pytest.raises(Timeout) as told:
            api.call("health")
        said = client.blocker(os.fsencode(var / "thrum.sock")).decode()
    finally:
        (house.thrum / "enough").touch()
        blocker.join()
    for text in (str(told.value), said):
        assert ": plugin blocking (acme-blocking 1.0) has blocked the loop for over " in text
        assert "blocking.now" in text and "hooks.py" in text
    wait_for((var / "blocked").exists, False)
    assert client.blocker(os.fsencode(var / "thrum.sock")) == b""
    house.cli("config", "set", "plugins.hook_timeout", "5")


PLUGINS["bell"] = {
    "hooks": """
    @hookimpl
    async def thrum_wake(ctx, wake):
        return Evidence("injected", "bell", wake.message_ids)
"""
}


def test_a_wake_rung_is_climbed_and_its_evidence_kept(house: House) -> None:
    house.join("bob")

    sent = house.cli.json("send", "ring", "--to", "@bob")["message_id"]

    wait_for(lambda: "injected" in house.cli("message", "get", sent), True)


def test_a_method_or_command_of_a_plugin_that_is_not_installed_names_what_to_install(house: House) -> None:
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
PLUGINS["greet"] = {
    "has_hooks": False,
    "manifest": COMMANDS,
    "modules": {
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
}


def test_commands_run_where_their_contract_says_and_one_that_cannot_be_imported_hurts_no_other(
    house: House,
) -> None:
    assert house.cli("greet", "inside") == "in daemon: True\n"
    assert house.cli("greet", "outside", "--name", "Ada") == "in daemon: False Ada\n"
    assert house.cli("greet", "--name", "Ada", "outside") == "in daemon: False Ada\n"
    for broken in ("broken", "ends"):
        refused = house.cli.refused("greet", broken)
        assert "acme-greet" in refused and "cannot be imported" in refused
    assert "Cannot be imported" in house.cli("greet", "--help")
    house.cli("plugin", "list")


PLUGINS["brief"] = {
    "hooks": """
@hookimpl
async def thrum_preamble(ctx, agent):
    return f"You are {agent.name}, a careful {agent.role}."
@hookimpl
async def thrum_prime(ctx, agent):
    return [PrimeSection(key="weather", order=650, text="# Weather\\nSunny", data={"sky": "blue"})]
"""
}
PLUGINS["rain"] = {"hooks": "@hookimpl\nasync def thrum_prime(ctx): raise ValueError('wet')\n"}


def test_preamble_and_sections_of_the_briefing_come_from_plugins(house: House) -> None:
    told = house.cli("prime")
    assert "You are ada, a careful implementer." in told and "Sunny" in told
    assert house.cli.json("prime")["weather"] == {"sky": "blue"}
    assert "wet" in house.plugins()["rain"]["troubles"]["thrum_prime"]


PLUGINS["oracle"] = {
    "hooks": """
@hookimpl
async def thrum_identify(ctx, facts):
    wish = ctx.paths.thrum / "wish"
    name = wish.read_text() if wish.exists() else ""
    return Caller(kind="agent", agent_id=name) if name else None
"""
}


def test_a_plugin_decides_between_identities_that_fit_and_nobody_else(house: House) -> None:
    place = house.cli.at(house.repo.worktree("shared").path)
    for name in ("ann", "ben"):
        place("quickstart", name, "--role", "implementer", "--module", "auth", "--force")
    refused = place.run("send", "who am I?", "--to", "@everyone")
    assert refused.status == 1 and "ann" in refused.err and "ben" in refused.err

    wish = house.thrum / "wish"
    wish.write_text("eve")
    assert place.run("send", "not eve", "--to", "@everyone").status == 1
    wish.write_text("ben")
    sent = place.json("send", "it is ben", "--to", "@everyone")
    shown = place.at(place.cwd, THRUM_NAME="ann").json("message", "get", sent["message_id"])
    assert shown["message"]["author"]["agent_id"] == "ben"
    wish.unlink()


PLUGINS["post"] = {
    "manifest": 'senders=("post:*",)',
    "hooks": """
class Send(msgspec.Struct, kw_only=True): "What."; sender: str = "post:office"; again: str = ""
@hookimpl
def thrum_methods(ctx):
    async def send(call, params):
        return await ctx.send("A parcel", to="@ada", sender=params.sender, request_id=params.again)
    return [Method("post.send", Send, str, send, "Send", anonymous=True)]
""",
}


def test_a_plugin_sends_under_its_claimed_name_only_and_hears_what_is_sent_to_it(house: House) -> None:
    once, again = (house.call("post.send", again="parcel-1") for _ in range(2))
    assert once == again, "a retry does not send twice"
    (message,) = [each for each in house.cli.json("inbox")["messages"] if "A parcel" in str(each)]
    assert "post:office" in str(message)
    with pytest.raises(AssertionError, match="does not claim that sender"):
        house.call("post.send", sender="ada")
    house.cli("reply", once, "thanks")
    assert "post:office" in house.cli("sent")


PLUGINS["shaky"] = {
    "hooks": """
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
"""
}


def test_a_method_that_fails_names_its_plugin_and_the_next_one_works(house: House) -> None:
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


PLUGINS["broken"] = {
    "hooks": "raise ValueError('at import')",
    "manifest": 'commands=(PluginCommand(words=("broken", "do"), target="x:y", help="Do", in_daemon=True),)',
}


def test_a_failing_plugin_is_named_wherever_somebody_looks_and_stops_a_strict_start(
    house: House,
) -> None:
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
    assert "  broken (acme-broken 1.0) is failed: " in house.cli.run("doctor").out
    with house.stopped():
        assert "  broken (acme-broken 1.0) is failed: " in house.cli.run("doctor").out
        strict = house.cli.at(house.repo.path, THRUM_PLUGINS_STRICT="1")
        assert "acme-broken" in strict.refused("daemon", "start")


PLUGINS["ticker"] = {
    "hooks": """
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
        for _ in range(1000):
            if 7 in heard and "extra" in heard:
                break
            await asyncio.sleep(0.01)
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
"""
}


def test_local_events_and_topics_reach_plugins_and_no_journal(house: House) -> None:
    house.cli("send", "there is a journal", "--to", "@everyone")
    house.call("ticker.tick")

    wait_for(lambda: house.call("ticker.heard"), ["7", "extra", "hook 7", "hook 8"])
    journals = list((house.repo.path / ".git" / "thrum-sync" / "journal").glob("*.jsonl"))
    assert journals and not any("ticker.tick" in journal.read_text() for journal in journals)


PLUGINS["lamp"] = {
    "has_hooks": True,
    "manifest": 'settings="site_lamp.settings:Settings"',
    "modules": {
        "settings": "from pydantic import BaseModel\nclass Settings(BaseModel):\n    level: int = 3\n"
    },
}


def test_config_show_tells_a_plugin_s_settings_with_where_they_come_from(house: House) -> None:
    assert house.cli.json("config", "show")["lamp"]["level"] == {"value": 3, "source": "default"}
    house.cli("config", "set", "lamp.level", "5")

    assert house.cli.json("config", "show")["lamp"]["level"] == {"value": 5, "source": "config.json"}
    assert "Lamp" in house.cli("config", "show")
    with house.stopped():
        assert house.cli.json("config", "show")["lamp"]["level"] == {"value": 5, "source": "config.json"}
