"""The parts of the plugin, put together once for each context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_monitor.alarms import Alarms
from thrum_monitor.keeper import Keeper
from thrum_monitor.methods import MonitorMethods
from thrum_monitor.restarts import Restarts
from thrum_monitor.store import Store

LOOK_S: Final = 30.0


class Desk:
    """What the hooks share; for *restarts* and *look_s* see `Means`."""

    def __init__(
        self, ctx: PluginContext, *, restarts: Callable[[], Restarts] = Restarts, look_s: float = LOOK_S
    ) -> None:
        self.store = Store(ctx)
        self.alarms = Alarms(ctx, self.store)
        self.keeper = Keeper(ctx, self.store, self.alarms, restarts=restarts, look_s=look_s)
        self.methods = MonitorMethods(ctx, self.store, self.keeper)
