"""Delivery as a state, and the wake ladder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from messaging_world import World

from thrum_kernel.api import Evidence, Wake
from thrum_kernel.errors import NotFound
from thrum_kernel.messaging.deliver import Unseen, Waker
from thrum_kernel.messaging.facts import Fact, state_of

pytestmark = pytest.mark.anyio


async def delivery(world: World, message_id: str, to: str = "bob") -> dict[str, Any]:
    await world.local.write(lambda db: None)  # whatever was queued before is there now
    found = await world.call("alice", "message.get", message_id=message_id)
    return next(row for row in found["message"]["recipients"] if row["agent_id"] == to)


async def prove(
    world: World, fact: str, *message_ids: str, to: str = "bob", means: str = "tmux", reason: str = ""
) -> None:
    evidence = {"fact": fact, "means": means, "message_ids": message_ids, "reason": reason}
    await world.call("kernel:tmux", "message.evidence", agent_id=to, evidence=evidence)


async def test_delivery_climbs_from_stored_to_answered(world: World) -> None:
    sent = await world.send("alice", to="@bob")
    states = [(await delivery(world, sent))["state"]]
    for step in ("injected", "seen"):
        await prove(world, step, sent)
        states.append((await delivery(world, sent))["state"])
    await world.call("bob", "message.list", for_agent="bob", mark_shown=True)
    states.append((await delivery(world, sent))["state"])
    await world.send("bob", "ok", reply_to=sent)
    states.append((await delivery(world, sent))["state"])

    assert states == ["stored", "injected", "seen", "read", "answered"]
    told = (await delivery(world, sent))["states"]
    assert [step["state"] for step in told] == states
    assert [step.get("means", "") for step in told[:4]] == ["", "tmux", "tmux", "inbox"]
    assert sorted(step["at"] for step in told) == [step["at"] for step in told]


async def test_seen_is_not_read(world: World) -> None:
    sent = await world.send("alice", to="@bob")

    await prove(world, "seen", sent, means="hook:claude")

    row = await delivery(world, sent)
    assert row["seen_at"] and "read_at" not in row
    assert await world.texts("bob", unread=True) == ["hello"]


async def test_evidence_proves_only_the_messages_it_names(world: World) -> None:
    first, second = await world.send("alice", to="@bob"), await world.send("alice", to="@bob")

    await prove(world, "seen", first)

    assert ((await delivery(world, first))["state"], (await delivery(world, second))["state"]) == (
        "seen",
        "stored",
    )


async def test_a_plugin_is_told_what_is_unseen_and_unread(world: World) -> None:
    ids = [await world.send("alice", to="@bob") for _ in range(3)]
    other = await world.send("bob", to="@alice")
    await prove(world, "seen", ids[0])
    await prove(world, "read", ids[1])

    asked = [*ids, other, "msg_x"]
    found = await world.call("kernel:tmux", "message.unseen", agent_id="bob", message_ids=asked)

    assert found == {"unseen": [ids[2]], "unread": [ids[0], ids[2]]}


async def test_failed_shows_its_reason_until_something_better_is_known(world: World) -> None:
    sent = await world.send("alice", to="@bob")
    await prove(world, "injected", sent)
    await prove(world, "failed", sent, reason="rate limited until 14:00")

    row = await delivery(world, sent)
    assert (row["state"], row["states"][-1]["reason"]) == ("failed", "rate limited until 14:00")

    await prove(world, "seen", sent, means="inbox")
    assert (await delivery(world, sent))["state"] == "seen"


async def test_recipient_that_is_gone_has_failed(world: World) -> None:
    sent = await world.send("alice", to="@bob")
    await world.delete_agent("bob")

    row = await delivery(world, sent)

    assert (row["state"], row["states"][-1]["reason"]) == ("failed", "agent was deleted")


async def test_states_survive_a_restart(world: World) -> None:
    sent = await world.send("alice", to="@bob")
    await prove(world, "injected", sent)
    before = await delivery(world, sent)

    await world.restart()

    assert await delivery(world, sent) == before


async def test_only_plugins_prove(world: World) -> None:
    with pytest.raises(NotFound):
        await prove(world, "seen", "msg_x", to="nobody")


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ([], "stored"),
        (["stored"], "stored"),
        (["stored", "injected"], "injected"),
        (["stored", "failed"], "failed"),
        (["stored", "failed", "injected"], "injected"),
        (["stored", "injected", "failed"], "failed"),
        (["stored", "injected", "seen", "failed"], "seen"),
        (["stored", "answered", "read"], "answered"),
    ],
)
def test_state_follows_from_facts(facts: list[str], state: str) -> None:
    assert state_of([Fact(name, at) for at, name in enumerate(facts)]) == state


# --- the wake ladder -------------------------------------------------------------------------------------------------


class Ladder:
    """A waker with two rungs that note what they were asked."""

    def __init__(self, *, next_rung_s: float = 60.0, again_s: float = 600.0) -> None:
        self.asked: list[tuple[str, Wake]] = []
        self.answers: dict[str, Callable[[Wake], Evidence | None]] = {}
        self.waiting: list[Unseen] = []
        self.recorded: list[Evidence] = []
        self.looks = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.rung = asyncio.Event()
        self.waker = Waker(
            [self._rung("hook"), self._rung("terminal")],
            unseen=self._unseen,
            record=lambda incarnation, evidence: self.recorded.append(evidence),
            next_rung_s=next_rung_s,
            again_s=again_s,
        )

    def _rung(self, name: str) -> Callable[[Wake], Any]:
        async def rung(wake: Wake) -> Evidence | None:
            self.asked.append((name, wake))
            self.rung.set()
            await self.gate.wait()
            return self.answers.get(name, lambda wake: Evidence("injected", name, wake.message_ids))(wake)

        return rung

    def _unseen(self, incarnation: str) -> tuple[str, Sequence[Unseen]]:
        self.looks += 1
        return "bob", tuple(self.waiting)

    async def come(self, *messages: tuple[str, str]) -> None:
        self.waiting += [Unseen(message_id, "alice", priority) for message_id, priority in messages]  # type: ignore[arg-type]
        await self.changed(can_wait=all(priority != "high" for _, priority in messages))

    async def until(self, count: int) -> None:
        """Wait until rungs were asked so often."""
        async with asyncio.timeout(10):
            while len(self.asked) < count:
                self.rung.clear()
                await self.rung.wait()

    async def see(self, *message_ids: str) -> None:
        self.waiting = [message for message in self.waiting if message.message_id not in message_ids]
        await self.changed()

    async def changed(self, *, can_wait: bool = False) -> None:
        self.waker.notice("inc", can_wait=can_wait)
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def wakes(self) -> list[tuple[str, Sequence[str]]]:
        return [(name, wake.message_ids) for name, wake in self.asked]


async def test_first_rung_that_applies_is_enough() -> None:
    ladder = Ladder()
    await ladder.come(("m1", "normal"))

    assert ladder.wakes == [("hook", ("m1",))]
    assert [evidence.fact for evidence in ladder.recorded] == ["injected"]
    await ladder.waker.close()


async def test_rung_that_does_not_apply_or_fails_is_passed() -> None:
    ladder = Ladder()
    ladder.answers["hook"] = lambda wake: None
    await ladder.come(("m1", "normal"))
    assert ladder.wakes == [("hook", ("m1",)), ("terminal", ("m1",))]
    await ladder.waker.close()

    failing = Ladder()
    failing.answers["hook"] = lambda wake: Evidence("failed", "hook", wake.message_ids, "dead")
    await failing.come(("m1", "normal"))
    assert [evidence.fact for evidence in failing.recorded] == ["failed", "injected"]
    await failing.waker.close()


async def test_next_rung_after_the_deadline_while_not_seen() -> None:
    ladder = Ladder(next_rung_s=0.02)
    await ladder.come(("m1", "normal"))
    await ladder.until(2)

    assert ladder.wakes[:2] == [("hook", ("m1",)), ("terminal", ("m1",))]
    await ladder.waker.close()


async def test_a_failure_is_tried_again_when_it_says_so_and_no_other_rung_helped() -> None:
    ladder = Ladder(next_rung_s=600)
    ladder.answers["hook"] = lambda wake: None
    ladder.answers["terminal"] = lambda wake: Evidence(
        "failed", "terminal", wake.message_ids, "a draft", 0.02
    )
    await ladder.come(("m1", "normal"))
    await ladder.until(4)

    assert ladder.wakes[2:4] == [("hook", ("m1",)), ("terminal", ("m1",))]
    await ladder.waker.close()


async def test_an_agent_whose_runtime_begins_is_woken_for_what_came_before() -> None:
    ladder = Ladder(next_rung_s=0.02)
    for rung in ("hook", "terminal"):
        ladder.answers[rung] = lambda wake: None
    await ladder.come(("m1", "normal"))
    assert len(ladder.wakes) == 2, "nothing applied; the next climb is minutes away"

    ladder.waker.begun("inc")
    await ladder.until(4)

    assert ladder.wakes[2:4] == [("hook", ("m1",)), ("terminal", ("m1",))]
    ladder.waker.begun("somebody who has nothing to notice")
    await ladder.waker.close()


async def test_what_is_new_does_not_wait_for_the_next_climb() -> None:
    ladder = Ladder(next_rung_s=0.02)
    await ladder.come(("m1", "normal"))
    await ladder.until(2)
    assert ladder.wakes[-1] == ("terminal", ("m1",)), "all rungs were tried; the next climb is minutes away"
    await ladder.come(("m2", "normal"))
    await ladder.until(3)

    assert ladder.wakes[2] == ("hook", ("m2",))
    await ladder.waker.close()


async def test_seen_ends_the_climb() -> None:
    ladder = Ladder()
    await ladder.come(("m1", "normal"))
    await ladder.see("m1")

    assert not ladder.waker._climbs
    assert ladder.wakes == [("hook", ("m1",))]


async def test_low_never_wakes() -> None:
    ladder = Ladder()
    await ladder.come(("m1", "low"))

    assert ladder.wakes == []
    await ladder.come(("m2", "normal"))
    assert ladder.wakes == [("hook", ("m2",))]
    await ladder.waker.close()


async def test_high_gets_a_wake_of_its_own_next_after_the_one_in_flight() -> None:
    ladder = Ladder()
    ladder.gate.clear()
    await ladder.come(("m1", "normal"))
    await ladder.come(("m2", "normal"), ("m3", "high"))
    assert ladder.wakes == [("hook", ("m1",))], "one wake an agent is in flight"

    ladder.gate.set()
    await ladder.changed()

    assert ladder.wakes == [("hook", ("m1",)), ("hook", ("m3",))]
    assert [wake.priority for _, wake in ladder.asked] == ["normal", "high"]
    await ladder.waker.close()


async def test_more_mail_does_not_wake_again_before_the_deadline() -> None:
    ladder = Ladder()
    await ladder.come(("m1", "normal"))
    await ladder.come(("m2", "normal"))

    assert ladder.wakes == [("hook", ("m1",))]
    await ladder.see("m1")
    assert ladder.wakes == [("hook", ("m1",)), ("hook", ("m2",))]
    await ladder.waker.close()


async def test_a_flood_of_mail_is_looked_at_once() -> None:
    ladder = Ladder()
    await ladder.come(("m0", "normal"))
    looks = ladder.looks
    for number in range(1, 100):
        await ladder.come((f"m{number}", "normal"))
    assert ladder.looks == looks, "nothing more can be done for them before the next rung's time"
    await ladder.waker.close()


async def test_mail_that_comes_as_the_last_is_seen_wakes_at_once() -> None:
    ladder = Ladder()
    await ladder.come(("m1", "normal"))
    await ladder.come(("m2", "normal"))
    await ladder.see("m1", "m2")
    await ladder.come(("m3", "normal"))

    assert ladder.wakes == [("hook", ("m1",)), ("hook", ("m3",))]
    await ladder.waker.close()


async def test_ladder_is_climbed_anew_after_a_while() -> None:
    ladder = Ladder(next_rung_s=0.01, again_s=0.02)
    await ladder.come(("m1", "normal"))
    await ladder.until(3)

    assert [name for name, _ in ladder.wakes[:3]] == ["hook", "terminal", "hook"]
    await ladder.waker.close()


async def test_without_rungs_nothing_runs() -> None:
    ladder = Ladder()
    ladder.waker.rungs.clear()
    await ladder.come(("m1", "high"))

    assert not ladder.waker._climbs


async def test_message_wakes_its_resident_recipients_and_not_its_author(
    world: World, elsewhere: World
) -> None:
    world.take_from(elsewhere)
    woken: list[Wake] = []

    async def rung(wake: Wake) -> Evidence | None:
        woken.append(wake)
        return Evidence("seen", "test", wake.message_ids)

    world.messaging.waker.rungs.append(rung)
    sent = await world.send("alice", "all", priority="normal")
    await world.send("alice", "later", to="@bob", priority="low")
    for _ in range(20):
        await asyncio.sleep(0)

    assert sorted((wake.agent_id, wake.message_ids, wake.senders) for wake in woken) == [
        ("bob", (sent,), ("alice",)),
        ("carol", (sent,), ("alice",)),
    ]
    assert (await delivery(world, sent))["state"] == "seen"
