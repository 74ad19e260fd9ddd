"""Plugins that go, come back, end with their daemon, or guard it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from plugin_diary import DIARY
from plugin_house import House, house_of_its_own, wait_for

from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.site import Site
from thrum_kernel.testing.spawner import Spawner


@pytest.fixture
def house(cli: Cli, repo: Repo, site: Site) -> House:
    """One of the test's own, not started."""
    return House(cli, repo, site)


def test_a_plugin_uninstalled_and_installed_again_has_its_tables_and_has_heard_each_event_once(
    house: House,
) -> None:
    house.site.install("diary", hooks=DIARY)
    house.start()
    house.call("diary.add", text="one")
    wait_for(lambda: house.call("diary.heard")["heard"].count(["diary.written"]), 1)

    house.site.uninstall("diary")
    house.restart()
    refused = house.cli.run("daemon", "status")
    assert "diary" not in house.plugins(), refused.out
    house.site.reinstall("diary")
    house.restart()

    assert house.call("diary.list") == {"entries": ["one"]}
    house.call("diary.add", text="two")
    assert house.call("diary.list") == {"entries": ["one", "two"]}
    wait_for(lambda: house.call("diary.heard")["heard"][-1], ["diary.written"])
    wait_for(lambda: house.call("diary.heard")["heard"].count(["diary.written"]), 2)


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
    house.cli("send", "still here", "--to", "@everyone")

    troubles = house.plugins()["works"]["troubles"]
    assert "again and again" in troubles["service works.crashes"]
    assert "SystemExit" in troubles["service works.leaves"]
    assert "KeyboardInterrupt" in troubles["service works.interrupts"]
    house.cli("daemon", "stop")
    assert "works.stubborn of plugin works (acme-works 1.0) ignores its cancellation" in house.log()
    assert house.cli.json("daemon", "status")["running"] is False


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


SLOW_BELL = """
@hookimpl
async def thrum_wake(ctx, wake):
    async def ring():
        await asyncio.sleep(0.5)
        return Evidence("injected", "slow bell", wake.message_ids)
    return ring()
"""
PLUGINS = {
    "bouncer": {"hooks": GUARD},
    "frail": {"hooks": "raise RuntimeError('broken release')"},
    "bell": {"hooks": SLOW_BELL},
}


@pytest.fixture(scope="module")
def hasty_house(
    tmp_path_factory: pytest.TempPathFactory, kernel_alone: dict[str, str], thrum_spawner: Spawner
) -> Iterator[House]:
    """One whose hooks have little time."""
    folder = tmp_path_factory.mktemp("house")
    with house_of_its_own(folder, kernel_alone, thrum_spawner, PLUGINS) as made:
        made.cli("config", "set", "plugins.hook_timeout", "0.2")
        yield made


@pytest.fixture
def guarded(hasty_house: House) -> Iterator[House]:
    """A house with a guard, which allows everything again at the end."""
    yield hasty_house
    (hasty_house.thrum / "mode").write_text("allow")


def test_a_guard_judges_what_it_names_and_messaging_only_where_it_is_named_for_that(guarded: House) -> None:
    (guarded.thrum / "mode").write_text("deny")

    refused = guarded.cli.refused("team")
    assert 'identity guard "bouncer" fired: because' in refused and "called: team" in refused
    guarded.cli("send", "unjudged", "--to", "@everyone")
    guarded.cli("config", "set", "plugins.messaging_guards", '["bouncer"]')
    assert "called: message.send" in guarded.cli.refused("send", "judged", "--to", "@everyone")
    (guarded.thrum / "mode").write_text("warn")
    warned = guarded.cli.run("team")
    assert warned.status == 0 and "because" in warned.err
    guarded.cli("config", "set", "plugins.messaging_guards", "[]")


@pytest.mark.parametrize("mode", ["raise", "hang"])
def test_a_guard_that_fails_denies_what_it_judges_at_once_until_it_is_enabled(
    guarded: House, mode: str
) -> None:
    (guarded.thrum / "mode").write_text(mode)

    assert "acme-bouncer" in guarded.cli.refused("team")
    (guarded.thrum / "mode").write_text("allow")
    assert "guard_failed" in guarded.cli.refused("team"), "it is not called any more"
    guarded.cli("send", "messaging works throughout", "--to", "@everyone")
    guarded.cli("inbox")
    guarded.cli("plugin", "enable", "bouncer")
    assert "ada" in guarded.cli("team")


def test_what_was_mended_loads_with_the_next_daemon_and_nothing_is_remembered(guarded: House) -> None:
    (guarded.thrum / "mode").write_text("raise")
    assert "guard broke" in guarded.cli.refused("team")
    assert guarded.plugins()["frail"]["state"] == "failed"
    (guarded.site.path / "site_frail" / "hooks.py").write_text("")

    guarded.restart()

    assert {row["state"] for name, row in guarded.plugins().items() if name in ("bouncer", "frail")} == {
        "active"
    }
    assert "guard broke" in guarded.cli.refused("team"), "a guard that still fails denies, asked anew"
    (guarded.thrum / "mode").write_text("allow")
    assert "guard_failed" in guarded.cli.refused("team")
    guarded.restart()
    assert "ada" in guarded.cli("team")


def test_a_rung_may_answer_later_with_a_coroutine_that_takes_longer_than_a_hook(hasty_house: House) -> None:
    hasty_house.join("bob")

    hasty_house.cli("send", "ring", "--to", "@bob")

    wait_for(lambda: "injected" in hasty_house.cli("sent"), True)
