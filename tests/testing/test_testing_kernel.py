"""The kernel in the test's own process is the kernel: rooms, plugins, guards, feeds, and a time that tests set."""

from __future__ import annotations

import subprocess
import sys

import pytest

from thrum_kernel.errors import GuardFired, PluginError, UnknownRecipient
from thrum_kernel.testing.clock import SettableClock
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.kernel import Kernel, running
from thrum_kernel.testing.site import Site

NOTES = '''
class Noted(Event, kw_only=True, tag="notes.noted"):
    text: str

class No(msgspec.Struct):
    """Nothing."""

@hookimpl
def thrum_event_types(ctx): return [EventType("notes.noted", Noted)]

@hookimpl
def thrum_migrations(ctx):
    return Tables(projected=("CREATE TABLE notes_note (event_id TEXT PRIMARY KEY, text TEXT)",))

@hookimpl
def thrum_projectors(ctx):
    return [Projector("notes.noted", lambda db, e: db.execute(
        "INSERT OR IGNORE INTO notes_note VALUES (?, ?)", (e.event_id, e.text)))]

@hookimpl
def thrum_methods(ctx):
    return [Method("notes.when", No, int, lambda call, params: ctx.clock.now_us(), "When", anonymous=True)]

@hookimpl
async def thrum_event_committed(ctx, event): ctx.publish("heard", {"type": event.type})

@hookimpl
def thrum_guard_scope(ctx): return ["agent.register"]

@hookimpl
async def thrum_guard(ctx, call):
    return Verdict(outcome="deny", guard="notes", reason="no_roots") if call.params["name"] == "root" else None
'''


@pytest.fixture
def notes(site: Site) -> Site:
    """Installed before `kernel` is made."""
    site.install("notes", hooks=NOTES)
    return site


def test_agents_write_to_each_other(kernel: Kernel) -> None:
    ada, bob = kernel.agent("ada"), kernel.agent("bob")

    first = ada.send("one", to="@bob")
    ada.send("two", to="@bob")

    assert bob.inbox() == ["one", "two"]
    assert bob.call("message.get", message_id=first)["message"]["body"]["content"] == "one"
    with pytest.raises(UnknownRecipient):
        ada.send("nobody", to="@carol")


def test_a_plugin_is_active_with_all_that_it_adds_and_hears(notes: Site, kernel: Kernel) -> None:
    heard = kernel.heard("notes.heard")
    ctx = kernel.context("notes")

    kernel.run(ctx.emit("notes.noted", text="hello"))

    assert ctx.read("SELECT text FROM notes_note") == [("hello",)]
    kernel.until(lambda: heard)
    assert heard == [{"type": "notes.noted"}]
    with pytest.raises(LookupError, match="no plugin other is active here"):
        kernel.context("other")


def test_a_guard_judges_as_in_a_daemon(notes: Site, kernel: Kernel) -> None:
    with pytest.raises(GuardFired, match="no_roots"):
        kernel.agent("root")

    kernel.agent("ada")


def test_time_is_what_the_test_says(notes: Site, kernel: Kernel, clock: SettableClock) -> None:
    ada = kernel.agent("ada")
    first = ada.send("to myself", to="@everyone")
    clock.advance(90)
    second = ada.send("later", to="@everyone")

    created = [ada.call("message.get", message_id=each)["message"]["created_at"] for each in (first, second)]
    assert created == ["2026-01-01T00:00:00.000000Z", "2026-01-01T00:01:30.000000Z"]
    assert kernel.call("notes.when") == clock.now_us()


def test_the_clock_can_be_set_back_and_monotonic_time_does_not_follow(clock: SettableClock) -> None:
    clock.advance(1.5)
    clock.set("2025-06-01T12:00:00+02:00")

    assert clock.now == "2025-06-01T10:00:00.000000Z"
    assert clock.monotonic() == 1.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_plugin_that_fails_fails_the_test_that_wants_a_kernel(
    site: Site, repo: Repo, clock: SettableClock
) -> None:
    site.install("broken", hooks="raise ValueError('closed')")
    env = {**repo.env, "THRUM_PLUGINS_STRICT": "1"}

    with (
        pytest.raises(PluginError, match=r"broken \(acme-broken 1\.0\).*closed"),
        running(repo, clock=clock, env=env),
    ):
        raise AssertionError("it must not start")


def test_what_one_kernel_wrote_the_next_one_knows(repo: Repo, clock: SettableClock) -> None:
    with running(repo, clock=clock, env=repo.env) as kernel:
        sent = kernel.agent("ada").send("remember", to="@everyone")

    with running(repo, clock=clock, env=repo.env) as kernel:
        assert kernel.call("message.get", message_id=sent)["message"]["body"]["content"] == "remember"


def test_waiting_for_what_never_comes_fails(kernel: Kernel) -> None:
    with pytest.raises(AssertionError, match=r"within 0\.05 s"):
        kernel.until(lambda: False, limit_s=0.05)


def test_a_test_run_that_uses_none_of_the_kit_imports_none_of_it() -> None:
    code = (
        "import sys, thrum_kernel.testing.plugin\n"
        "print(*sorted(n for n in sys.modules if n.partition('.')[0] == 'thrum_kernel'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["thrum_kernel", "thrum_kernel.testing", "thrum_kernel.testing.plugin"]
