"""The parts of the plugin, put together once for each context."""

from __future__ import annotations

from thrum_kernel.api import PluginContext
from thrum_monitor.alarms import Alarms
from thrum_monitor.keeper import Keeper
from thrum_monitor.methods import MonitorMethods
from thrum_monitor.store import Store


class Desk:
    """What the hooks share."""

    def __init__(self, ctx: PluginContext) -> None:
        self.store = Store(ctx)
        self.alarms = Alarms(ctx, self.store)
        self.keeper = Keeper(ctx, self.store, self.alarms)
        self.methods = MonitorMethods(ctx, self.store, self.keeper)
