"""A kernel with monitors that kills itself at a chosen moment.

    python monitor_victim.py REPOSITORY HOME POINT

Starts a monitor, waits for its alarm, stops it, starts it again and deletes it. What the plugin asks of the kernel is
counted, before and after each change; at the POINT-th it is killed. Prints ``survived`` when there is no such point.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from monitor_house import MARKED, python
from thrum_monitor.desk import Desk
from thrum_monitor.model import IdParams, StartParams

from thrum_kernel.api import Call, Caller, PluginContext
from thrum_kernel.clock import SystemClock
from thrum_kernel.testing.harness import Repo, clean_environment
from thrum_kernel.testing.kernel import Agent, Kernel, running
from thrum_kernel.testing.waiting import until_on_loop as until

COMMAND = "import time\nfor n in range(10**6): print('FAIL', n, flush=True); time.sleep(0.05)"


class Dying:
    """A context under which the process ends at a moment of its own."""

    def __init__(self, ctx: PluginContext, point: int) -> None:
        self._ctx = ctx
        self._left = point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    async def write(self, fn: Callable[[Any], Any]) -> Any:
        self._step()
        done = await self._ctx.write(fn)
        self._step()
        return done

    async def send(self, content: str, **params: Any) -> str:
        self._step()
        done = await self._ctx.send(content, **params)
        self._step()
        return done

    def _step(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


class Asked:
    """As much of a call as the handlers look at."""

    request_id = ""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller


def main(repository: Path, home: Path, point: int) -> None:
    repo = Repo(repository, repository, clean_environment(home))
    with running(repo, clock=SystemClock(), env={"THRUM_PLUGINS_STRICT": "1", **repo.env}) as kernel:
        agent = rev(kernel)
        desk = Desk(cast(PluginContext, Dying(kernel.context("monitor"), point)))
        kernel.run(act(desk, agent))
    print("survived")


def rev(kernel: Kernel) -> Agent:
    """The agent that gets the alarms, registered by the first."""
    place = kernel.repo.path.parent / "rev"
    if not place.exists():
        return kernel.agent("rev")
    return Agent(kernel, "rev", Repo(place, kernel.repo.path, kernel.repo.env))


async def act(desk: Desk, agent: Agent) -> None:
    services = [
        asyncio.create_task(desk.alarms.run(lambda: None)),
        asyncio.create_task(desk.keeper.run(lambda: None)),
    ]
    call = cast(Call, Asked(agent.caller))
    params = StartParams(
        name="build",
        argv=list(python(COMMAND)),
        match="FAIL",
        target="@rev",
        cwd=str(agent.repo.path),
        env={MARKED: str(agent.kernel.repo.path)},
    )
    made = IdParams(id=(await desk.methods.start(call, params)).id)
    await until(lambda: desk.methods.show(call, made).suppressed > 2)
    await desk.methods.stop(call, made)
    await desk.methods.restart(call, made)
    await until(lambda: desk.methods.show(call, made).suppressed > 2)
    await desk.methods.delete(call, made)
    await until(lambda: not desk.store.due())
    for service in services:
        service.cancel()
    await asyncio.wait(services)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
