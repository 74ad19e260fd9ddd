"""Moments that stories come upon seldom, told at every call of the disk."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable

import pytest
from simulation_checks import violations
from simulation_loop import simulated_loop
from simulation_run import folder_in_memory
from simulation_steps import Steps
from simulation_story import Story

MOST_CALLS = 200
EVERY = 1 if os.environ.get("THRUM_SOAK") == "1" else 11
"""Calls of the disk from one try to the next."""

Moment = Callable[[Steps], Awaitable[list[str]]]


def told(moment: Moment) -> list[str]:
    """What is wrong after *moment* in a story of two machines that know each other's agents."""
    rng = random.Random(0)
    with folder_in_memory() as folder, simulated_loop(rng) as loop:
        story = Story(0, folder, loop, rng)
        steps = Steps(story)

        async def tell() -> list[str]:
            try:
                for at in (0, 1):
                    await story.add_machine()
                    await steps.register(at)
                for at in (0, 1, 0):
                    await steps.travel(at)
                return await moment(steps)
            finally:
                for node in story.nodes:
                    node.drop()

        return loop.run_until_complete(tell())


async def sent(steps: Steps, at: int) -> str:
    """A message from *at* to everyone; its id."""
    agent = steps.someone(at)
    assert agent is not None
    done = await steps._send(at, agent, {}, None)
    assert done is not None
    return done[1]


async def deleted(steps: Steps, at: int, message_id: str) -> None:
    agent = steps.someone(at)
    assert agent is not None
    await steps.story.nodes[at].call(agent.name, "message.delete", message_id=message_id)
    steps.ledger.sent[message_id].deleted = "yes"


async def old_files_come(steps: Steps) -> None:
    """The remote still holds the text of a message that machine 0 deleted, and something new: the next exchange of
    machine 0 takes it again."""
    message = await sent(steps, 0)
    for at in (0, 1):
        await steps.travel(at)
    await deleted(steps, 0, message)
    await sent(steps, 1)
    await steps.travel(1)


def holds_deleted(story: Story, at: int) -> bool:
    gone = story.ledger.gone_tokens("")
    files = story.machines[at].disk.files().values()
    return any(token in data for token in gone for data in files)


@pytest.mark.parametrize("how", ["dies_in", "fails_in"])
def test_deleted_text_that_a_merge_brought_back_goes_whenever_the_merge_breaks_off(how: str) -> None:
    came_through: list[int] = []

    async def at_call(steps: Steps, calls: int) -> list[str]:
        story = steps.story
        await old_files_come(steps)
        machine = story.machines[0]
        setattr(machine, how, calls)
        await steps.travel(0)
        if machine.image is None and getattr(machine, how) is not None:
            came_through.append(calls)
        setattr(machine, how, None)
        await story.settle()
        await steps.travel(0)
        return [f"call {calls}: deleted text is back"] * holds_deleted(story, 0) + await healed(steps)

    for calls in range(1, MOST_CALLS, EVERY):
        assert told(lambda steps, calls=calls: at_call(steps, calls)) == []
        if came_through:
            break
    assert came_through and came_through[0] > 20


async def healed(steps: Steps) -> list[str]:
    """What is wrong once nothing fails any more, *without* a new start, which would mend more than it should."""
    story = steps.story
    for _ in range(4):
        story.clock.pass_s(120.0)
        for at in range(len(story.machines)):
            await steps.travel(at)
    return await violations(story)
