"""Hooks are called each for itself: what one does wrong costs nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from thrum_kernel.api import Caller, GuardedCall, Verdict
from thrum_kernel.errors import GuardFired
from thrum_kernel.plugins.bounded import Contained
from thrum_kernel.plugins.guarding import Guards
from thrum_kernel.plugins.hooks import FAILURES, Bound, HookFailed, Hooks
from thrum_kernel.plugins.implementing import Implementation
from thrum_kernel.plugins.record import Plugin, Source
from thrum_kernel.plugins.watchdog import Watchdog
from thrum_kernel.testing.waiting import until_on_loop

Answer = Callable[..., Any]


class Table:
    """Hooks of made-up plugins, over a watchdog of their own."""

    def __init__(self, timeout_s: float = 0.2) -> None:
        self.told: list[tuple[str, str]] = []
        self.degraded: list[str] = []
        self.dog = Watchdog(lambda label, text: self.told.append((label, text)), limit_s=0.05)
        self.hooks = Hooks(
            timeout_s=lambda: timeout_s,
            watchdog=self.dog,
            degraded=lambda bound: self.degraded.append(bound.plugin.name),
        )

    def add(self, name: str, function: Answer, hook: str = "thrum_hints", place: int = 1) -> Bound:
        plugin = Plugin(Source(name, f"acme-{name}", "1.0", lambda: None), state="active")
        context: Any = name
        names = tuple(function.__code__.co_varnames[: function.__code__.co_argcount])
        bound = Bound(plugin, context, Implementation(hook, function, names, place))
        self.hooks.add(bound)
        return bound


def run(story: Callable[[], Any]) -> Any:
    return asyncio.run(story())


async def good(moment: Any) -> str:
    return f"hint for {moment}"


async def bad(moment: Any) -> str:
    raise ValueError("no hint")


async def hangs(moment: Any) -> str:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue  # on purpose: it ignores its cancellation


async def ends(moment: Any) -> str:
    raise SystemExit(1)


@pytest.mark.parametrize("culprit", [bad, ends])
def test_one_that_fails_is_left_out_named_and_counted(
    culprit: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        table = Table()
        table.add("a_culprit", culprit)
        table.add("good", good)

        answers = [answer for _, answer in await table.hooks.gather("thrum_hints", moment="now")]

        assert answers == ["hint for now"]
        table.dog.close()

    run(story)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "plugin a_culprit (acme-a_culprit 1.0): thrum_hints failed:" in caplog.text


def test_one_that_hangs_and_ignores_its_cancellation_holds_nobody_up() -> None:
    async def story() -> float:
        table = Table(timeout_s=0.05)
        stuck = table.add("stuck", hangs)
        table.add("good", good)
        started = time.monotonic()
        answers = await table.hooks.gather("thrum_hints", moment=1)
        took = time.monotonic() - started

        assert [answer for _, answer in answers] == ["hint for 1"]
        assert stuck.plugin.troubles == {"thrum_hints": "took longer than 0.05 s"}
        table.dog.close()
        leave_behind()
        return took

    run(story)


def leave_behind() -> None:
    """End tasks that ignore cancellation, so that the loop can close."""
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.get_coro().close()  # type: ignore[union-attr]


def test_five_failures_in_a_row_switch_off_and_enabling_calls_again() -> None:
    async def story() -> None:
        table = Table()
        bound = table.add("culprit", bad)
        for _ in range(FAILURES):
            await table.hooks.gather("thrum_hints", moment=0)

        assert bound.off == f"{bound.off}" and "5 failures in a row" in bound.off
        assert table.degraded == ["culprit"]
        assert await table.hooks.gather("thrum_hints", moment=0) == []
        assert table.hooks.enable(bound.plugin) == ["thrum_hints"]
        with pytest.raises(HookFailed, match="no hint"):
            await table.hooks.ask(bound, {"moment": 0})
        assert bound.failures == 1
        table.dog.close()

    run(story)


def test_a_success_forgets_the_failures_before_it() -> None:
    async def story() -> None:
        table = Table()
        moods = iter([True, True, False, True, True, True, True])

        async def moody(moment: Any) -> None:
            if next(moods):
                raise ValueError("moody")

        bound = table.add("moody", moody)
        for _ in range(7):
            await table.hooks.gather("thrum_hints", moment=0)

        assert not bound.off and bound.failures == 4
        table.dog.close()

    run(story)


def test_first_goes_in_order_past_nones_failures_and_what_is_not_accepted() -> None:
    async def story() -> None:
        table = Table()
        asked: list[str] = []

        def answering(name: str, answer: Any) -> Answer:
            async def give(agent: Any) -> Any:
                asked.append(name)
                return answer

            return give

        hook = "thrum_preamble"
        table.add("b_none", answering("b", None), hook)
        table.add("c_bad", bad_of(hook), hook)
        table.add("d_odd", answering("d", 7), hook)
        table.add("e_text", answering("e", "text"), hook)
        table.add("f_late", answering("f", "late"), hook)
        table.add("a_last", answering("a", "last"), hook, place=2)
        table.add("z_first", answering("z", None), hook, place=0)

        found = await table.hooks.first(
            hook, unfit=lambda answer: "" if isinstance(answer, str) else "no text", agent="ada"
        )

        assert (found, asked) == ("text", ["z", "b", "d", "e"])
        assert [(bound.plugin.name, bound.failures) for bound in table.hooks.of(hook) if bound.failures] == [
            ("c_bad", 1),
            ("d_odd", 1),
        ]
        table.dog.close()

    run(story)


def bad_of(hook: str) -> Answer:
    async def fail(agent: Any) -> Any:
        raise KeyError(hook)

    return fail


def test_whoever_blocks_the_loop_is_named_with_the_line(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        table = Table()

        async def blocks(moment: Any) -> None:
            time.sleep(0.3)  # noqa: ASYNC251 - on purpose

        table.add("blocker", blocks)
        await table.hooks.gather("thrum_hints", moment=0)
        table.dog.close()

        assert [label for label, _ in table.told if label] == ["blocker (acme-blocker 1.0)"]
        assert "test_plugins_hooks.py" in table.told[0][1] and "(blocks)" in table.told[0][1]

    run(story)


async def keeps_the_loop(moment: Any) -> None:
    time.sleep(0.3)  # noqa: ASYNC251 - on purpose


def test_one_that_keeps_the_loop_past_its_limit_is_switched_off_at_once_and_nobody_else_is_blamed() -> None:
    async def story() -> None:
        table = Table(timeout_s=0.1)
        blocker = table.add("blocker", keeps_the_loop)
        innocent = table.add("innocent", good)

        answers = [answer for _, answer in await table.hooks.gather("thrum_hints", moment="now")]
        table.dog.close()

        assert answers == ["hint for now"]
        assert "blocked the loop for longer than 0.1 s" in blocker.off
        assert (innocent.off, innocent.failures) == ("", 0)
        assert table.degraded == ["blocker"]

    run(story)


def test_one_that_keeps_the_loop_is_switched_off_though_whoever_asked_has_left() -> None:
    async def story() -> None:
        table = Table(timeout_s=0.1)
        blocker = table.add("blocker", keeps_the_loop)
        asking = asyncio.create_task(table.hooks.gather("thrum_hints", moment="now"))
        asyncio.get_running_loop().call_later(0.05, asking.cancel)  # due during the long step
        await asyncio.wait((asking,))
        table.dog.close()

        assert asking.cancelled()
        assert "blocked the loop for longer than 0.1 s" in blocker.off

    run(story)


def test_tasks_that_a_plugin_starts_are_watched_too() -> None:
    async def story() -> None:
        table = Table()
        end = table.dog.watch_tasks(asyncio.get_running_loop())

        async def later() -> None:
            await asyncio.sleep(0)
            time.sleep(0.3)  # noqa: ASYNC251 - on purpose

        async def starts(moment: Any) -> None:
            await asyncio.create_task(later())

        table.add("starter", starts)
        await table.hooks.gather("thrum_hints", moment=0)
        end()
        table.dog.close()

        assert [label for label, _ in table.told if label] == ["starter (acme-starter 1.0)"]

    run(story)


def test_the_watchdog_does_not_run_while_no_plugin_works() -> None:
    async def story() -> None:
        table = Table()
        await asyncio.sleep(0.2)
        assert table.dog._thread is None
        table.add("good", good)
        await table.hooks.gather("thrum_hints", moment=0)
        await until_on_loop(
            lambda: not table.dog._wanted.is_set(), what="that it waits for work, without waking up"
        )
        table.dog.close()

    run(story)


# --- guards ----------------------------------------------------------------------------------------------------------

ALICE = Caller(kind="agent", agent_id="alice", source="process")


def verdict(outcome: Any, reason: str = "because") -> Answer:
    async def judge(call: Any) -> Any:
        return None if outcome is None else Verdict(outcome=outcome, reason=reason)

    return judge


def judged(*outcomes: Any, named: tuple[str, ...] = (), name: str = "agent.register") -> Verdict | None:
    async def story() -> Verdict | None:
        table = Table()
        guards = Guards(table.hooks, messaging_guards=lambda: named)
        for number, outcome in enumerate(outcomes):
            function = outcome if callable(outcome) else verdict(outcome, f"from {number}")
            guards.add(table.add(f"g{number}", function, "thrum_guard"), ["agent.register", "message.send"])
        found = await guards.judge(GuardedCall(kind="method", name=name, caller=ALICE))
        table.dog.close()
        return found

    found: Verdict | None = run(story)
    return found


def outcome(found: Verdict | None) -> str | None:
    return found.outcome if found is not None else None


def test_the_strictest_verdict_counts() -> None:
    assert outcome(judged()) is None
    assert outcome(judged(None, None)) is None
    assert outcome(judged("allow", None)) == "allow"
    assert outcome(judged("allow", "warn", None)) == "warn"
    found = judged("warn", "deny", "allow")
    assert found is not None
    assert (found.outcome, found.reason, found.guard) == ("deny", "from 1", "g1")


def test_messaging_is_judged_only_by_those_named_for_it() -> None:
    assert outcome(judged("deny", "warn", name="message.send")) is None
    assert outcome(judged("deny", "warn", named=("g1",), name="message.send")) == "warn"


async def odd(call: Any) -> Any:
    return "deny"


@pytest.mark.parametrize("culprit", [bad_of("x"), odd])
def test_a_guard_that_fails_denies_what_it_judges_uncalled_until_it_is_enabled(culprit: Answer) -> None:
    async def story() -> None:
        table = Table()
        calls: list[str] = []

        async def guard(call: Any) -> Any:
            calls.append(call.name)
            return await culprit(call)

        guards = Guards(table.hooks, messaging_guards=tuple)
        bound = table.add("culprit", guard, "thrum_guard")
        guards.add(bound, ["agent.register"])
        register = GuardedCall(kind="method", name="agent.register", caller=ALICE)

        for _ in range(3):
            with pytest.raises(GuardFired, match="guard_failed") as raised:
                await guards.enforce(register)
            assert "culprit (acme-culprit 1.0)" in str(raised.value)
            assert "thrum plugin enable culprit" in raised.value.hint
        assert calls == ["agent.register"], "it is called once"
        assert await guards.enforce(GuardedCall(kind="method", name="agent.delete", caller=ALICE)) is None
        table.hooks.enable(bound.plugin)
        with pytest.raises(GuardFired):
            await guards.enforce(register)
        assert len(calls) == 2
        table.dog.close()

    run(story)


def test_a_guard_that_failed_does_not_deny_what_mends_it() -> None:
    async def story() -> None:
        table = Table()
        guards = Guards(table.hooks, messaging_guards=tuple)
        guards.add(table.add("culprit", bad_of("x"), "thrum_guard"), ["command:*"])

        async def asked(words: str) -> str | None:
            return outcome(await guards.judge(GuardedCall(kind="command", name=words, caller=ALICE)))

        assert await asked("plugin enable") == "warn"
        assert await asked("daemon restart") == "warn"
        assert await asked("team") == "deny"
        table.dog.close()

    run(story)


def test_a_scope_names_commands_and_kinds() -> None:
    async def story() -> None:
        table = Table()
        guards = Guards(table.hooks, messaging_guards=tuple)
        guards.add(table.add("g", verdict("deny"), "thrum_guard"), ["command:tmux create", "prime"])
        guards.add(table.add("h", verdict("warn"), "thrum_guard"), ["command:*"])

        async def asked(kind: Any, name: str) -> str | None:
            return outcome(await guards.judge(GuardedCall(kind=kind, name=name, caller=ALICE)))

        assert await asked("command", "tmux create") == "deny"
        assert await asked("command", "tmux list") == "warn"
        assert await asked("command", "send") is None, "a command made of messaging"
        assert await asked("prime", "alice") == "deny"
        assert await asked("identity", "alice") is None
        assert not guards.judge_method("agent.delete")
        table.dog.close()

    run(story)


def test_failures_are_logged_at_error_once_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        table = Table()
        table.add("culprit", bad)
        for _ in range(3):
            await table.hooks.gather("thrum_hints", moment=0)
        table.dog.close()

    with caplog.at_level(logging.INFO):
        run(story)
    assert len(caplog.records) == 1


SPINS = {"computes": "while True: pass", "sleeps": "time.sleep(600)", "swallows": "swallow()"}


def swallow() -> None:
    while True:
        with contextlib.suppress(Exception):
            time.sleep(600)


@pytest.mark.parametrize("body", list(SPINS.values()), ids=list(SPINS))
def test_what_never_gives_the_loop_back_is_interrupted_and_switched_off(body: str) -> None:
    names: dict[str, Any] = {"time": time, "swallow": swallow}
    exec(f"async def endless(moment):\n    {body}", names)

    async def story() -> None:
        table = Table(timeout_s=0.2)
        table.dog._interrupt_s = lambda: 0.3
        culprit = table.add("endless", names["endless"])
        table.add("good", good)
        end = table.dog.interrupting()
        try:
            answers = await table.hooks.gather("thrum_hints", moment="now")
            assert [answer for _, answer in answers] == ["hint for now"]
            assert "blocked the loop" in culprit.off
            assert table.degraded == ["endless"]
            assert len(await table.hooks.gather("thrum_hints", moment="later")) == 1
        finally:
            end()
            table.dog.close()

    run(story)


async def stops(moment: Any) -> str:
    raise KeyboardInterrupt


def test_an_interrupt_of_a_hook_is_its_own_where_ctrl_c_is_a_signal() -> None:
    async def story() -> None:
        table = Table()
        table.dog.has_signals = True
        table.add("a_culprit", stops)
        table.add("good", good)
        try:
            assert len(await table.hooks.gather("thrum_hints", moment="now")) == 1
            with (
                pytest.raises(Contained, match="KeyboardInterrupt"),
                table.dog.step("a_culprit", "its method"),
            ):
                raise KeyboardInterrupt
            table.dog.has_signals = False
            with pytest.raises(KeyboardInterrupt), table.dog.step("a_culprit", "its method"):
                raise KeyboardInterrupt
        finally:
            table.dog.close()

    run(story)


def test_a_method_that_never_ends_is_interrupted() -> None:
    dog = Watchdog(lambda label, text: None, limit_s=0.05, interrupt_s=lambda: 0.2)
    end = dog.interrupting()
    try:
        with pytest.raises(Contained, match="blocked the loop"), dog.step("endless", "endless.method"):
            while True:
                pass
        time.sleep(0.5)  # nobody is at work: nobody is interrupted
    finally:
        end()
        dog.close()
