"""Keeps services running: started with readiness, restarted with back-off, given up after repeated failure.

A service that fails is restarted after 1, 2, 4 … 60 s; after five failures in ten minutes it is given up and shown
as failed. A crash never takes a sibling down. Cancelled services get their stop time, then are abandoned and named.

Source: DESIGN.md D6.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from thrum_kernel.api import Service
from thrum_kernel.clock import Clock

_log = logging.getLogger(__name__)

FAILURES = 5
WINDOW_S = 600.0
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
START_TIMEOUT_S = 10.0


@dataclass(slots=True)
class ServiceState:
    """What became of a service.

    Attributes:
        state: ``starting``, ``running``, ``waiting`` (for its restart), ``ended`` or ``failed`` (given up).
        error: the last error's text.
        restarts: how often it was started again.
        owner: the plugin it belongs to; empty for the kernel's.
    """

    state: Literal["starting", "running", "waiting", "ended", "failed"] = "starting"
    error: str = ""
    restarts: int = 0
    owner: str = ""
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))


class Supervisor:
    """Runs services until it is stopped.

    Attributes:
        left_behind: names of those that ignored their cancellation.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stop_times: dict[str, float] = {}
        self.states: dict[str, ServiceState] = {}
        self.left_behind: list[str] = []

    async def start(self, service: Service, *, owner: str = "") -> None:
        """Start a service and wait until it is up, has failed once, or ten seconds have passed.

        Args:
            owner: the plugin it belongs to, named with whatever is told about it.
        """
        if service.name in self._tasks:
            raise ValueError(f"service {service.name} is already running")
        up = asyncio.Event()
        self.states[service.name] = ServiceState(owner=f" of plugin {owner}" if owner else "")
        self._stop_times[service.name] = service.stop_time_s
        self._tasks[service.name] = asyncio.create_task(self._keep(service, up), name=service.name)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(up.wait(), START_TIMEOUT_S)

    async def stop(self, name: str) -> None:
        """Cancel one service and wait for its stop time at most."""
        task = self._tasks.pop(name, None)
        if task is None:
            return
        task.cancel()
        _, late = await asyncio.wait({task}, timeout=self._stop_times.pop(name))
        if late:
            self.left_behind.append(name)
            _log.error("service %s%s ignores its cancellation; left behind", name, self.states[name].owner)
        else:
            self.states[name].state = "ended"

    async def stop_all(self) -> None:
        """Cancel all, last started first."""
        for name in reversed(list(self._tasks)):
            await self.stop(name)

    async def _keep(self, service: Service, up: asyncio.Event) -> None:
        state = self.states[service.name]

        def started() -> None:
            state.state = "running"
            up.set()

        while True:
            try:
                await service.run(started)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the supervisor's purpose
                text = f"{type(error).__name__}: {error}"
                _log.log(
                    logging.DEBUG if text == state.error else logging.ERROR,
                    "service %s%s failed: %s",
                    service.name,
                    state.owner,
                    text,
                    exc_info=error if not state.restarts else None,
                )
                state.error = text
            else:
                state.state = "ended"
                up.set()
                return
            up.set()
            if not await self._wait_to_restart(service.name, state):
                return

    async def _wait_to_restart(self, name: str, state: ServiceState) -> bool:
        now = self._clock.monotonic()
        state.failures.append(now)
        if len(state.failures) == FAILURES and now - state.failures[0] < WINDOW_S:
            state.state = "failed"
            _log.error(
                "service %s%s given up after %d failures: %s", name, state.owner, FAILURES, state.error
            )
            return False
        recent = sum(1 for failed in state.failures if now - failed < WINDOW_S)
        state.state = "waiting"
        await asyncio.sleep(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (recent - 1)))
        state.restarts += 1
        return True
