"""Plugins in a process that is no daemon: ``init``, ``daemon start``, ``doctor``, ``plugin check``.

::

    with in_process.host(paths, settings, env=run.inv.env) as plugins:
        for step in plugins.init_steps: ...
        verdict = plugins.run(plugins.judge(call))
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from thrum_kernel.clock import SystemClock
from thrum_kernel.events import EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES
from thrum_kernel.paths import Paths
from thrum_kernel.plugins.host import PluginHost
from thrum_kernel.plugins.record import Source
from thrum_kernel.plugins.registering import Books
from thrum_kernel.settings.document import SettingsFile

T = TypeVar("T")


class ProcessHost(PluginHost):
    """A `PluginHost` with an event loop of its own, for blocking code."""

    _runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of awaiting *work*."""
        return self._runner.run(work)


@contextlib.contextmanager
def host(
    paths: Paths,
    settings: SettingsFile,
    *,
    env: Mapping[str, str],
    sources: Sequence[Source] | None = None,
    path: list[str] | None = None,
) -> Iterator[ProcessHost]:
    """The plugins of this process, loaded; let go at the end.

    Args:
        sources: the only ones to load; None: all that there are.

    Raises:
        PluginError: one failed and ``THRUM_PLUGINS_STRICT`` is set.
    """
    with asyncio.Runner() as runner:
        made = ProcessHost(
            settings=settings,
            paths=paths,
            clock=SystemClock(),
            env=env,
            make_registry=lambda host: Books(host, types=EventTypes(CORE_EVENT_TYPES), rules={}),
            path=path,
        )
        made._runner = runner
        try:
            runner.run(made.load(sources))
            for plugin in made.loaded:
                plugin.state = "active"
            yield made
        finally:
            made.close()
