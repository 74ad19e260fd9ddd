"""A plugin as its author has it: it carries messages to a channel elsewhere and back, and rings in terminals.

What is outside the machine is passed in: tests put a `FakeTransport` and a `FakeTerminal` into `outside`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from thrum_kernel.api import Evidence, PluginContext, Service, Wake, hookimpl
from thrum_kernel.testing.terminal import FakeTerminal, PaneGone
from thrum_kernel.testing.transport import FakeTransport, TransportDown

MANIFEST = 'hooks="bridge_plugin", senders=("bridge:team",)'


@dataclass
class Outside:
    """Where the plugin reaches: a channel, and the pane of each agent."""

    transport: FakeTransport = field(default_factory=FakeTransport)
    terminal: FakeTerminal = field(default_factory=FakeTerminal)


outside = Outside()


@hookimpl
def thrum_services(ctx: PluginContext) -> Sequence[Service]:
    async def bring_in(started: Callable[[], None]) -> None:
        started()
        while True:
            try:
                come = await outside.transport.receive()
            except TransportDown:
                await asyncio.sleep(0.005)
                continue
            text = f"{come.sender}: {come.text}"
            await ctx.send(text, to="@everyone", sender="bridge:team", request_id=come.reference)

    return [Service("bridge.in", bring_in, stop_time_s=0.2)]


@hookimpl
async def thrum_event_committed(ctx: PluginContext, event: Any) -> None:
    if event.type == "message.create" and event.agent_id != "bridge:team":
        await outside.transport.send("team", f"@{event.agent_id}: {event.body.content}")


@hookimpl
async def thrum_wake(ctx: PluginContext, wake: Wake) -> Evidence | None:
    pane = f"{wake.agent_id}:0.0"
    try:
        await outside.terminal.type(pane, f"thrum message get {wake.message_ids[-1]}")
        await outside.terminal.press(pane, "Enter")
    except PaneGone as gone:
        return Evidence("failed", "terminal", wake.message_ids, str(gone))
    shown = await outside.terminal.capture(pane, lines=1)
    return Evidence("injected", "terminal", wake.message_ids) if shown == "reading" else None
