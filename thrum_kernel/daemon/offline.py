"""What a few methods answer with no daemon: the same handlers, over the files alone.

Source: DESIGN.md D4 (``offline=True``); spec/decisions.md "The command line, everywhere".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from thrum_kernel.agents.directory import whoami_from_files
from thrum_kernel.agents.requests import SetStatus, WhoAmI
from thrum_kernel.agents.status import set_own_status
from thrum_kernel.api import Invocation
from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import DaemonNotRunning, NotFound, ParamsInvalid, UsageError
from thrum_kernel.identity import probe
from thrum_kernel.identity.facts import Facts
from thrum_kernel.paths import Paths
from thrum_kernel.plugins import in_process
from thrum_kernel.plugins.describing import PluginDetails, details, row
from thrum_kernel.plugins.host import PluginHost
from thrum_kernel.plugins.methods import Listed, Named, NoParams
from thrum_kernel.settings.daemon_identity import this_host
from thrum_kernel.settings.document import SettingsFile
from thrum_kernel.settings.methods import ConfigMethods, SetParams, ShowParams, Surroundings


class OfflineApi:
    """Answers from files; implements `api.Api`.

    Args:
        inv: the command that asks.
        paths: where it stands.
    """

    def __init__(self, inv: Invocation, paths: Paths) -> None:
        self._inv = inv
        self._paths = paths
        self._settings = SettingsFile(paths.config)
        config = ConfigMethods(settings=self._settings, surroundings=self._surroundings)
        self._methods: Mapping[str, tuple[type[Any], Callable[[Any], Any]]] = {
            "agent.whoami": (WhoAmI, self._whoami),
            "agent.set-status": (SetStatus, self._set_status),
            "config.show": (ShowParams, self._with_plugins(lambda host, params: config.show(None, params))),
            "config.set": (SetParams, self._with_plugins(lambda host, params: config.set(None, params))),
            "plugin.list": (NoParams, self._with_plugins(self._list_plugins)),
            "plugin.show": (Named, self._with_plugins(self._show_plugin)),
        }

    def call(self, method: str, /, **params: Any) -> Any:
        """The result of a method.

        Raises:
            DaemonNotRunning: only the daemon can answer it.
            ThrumError: whatever the handler refused with.
        """
        if method not in self._methods:
            raise DaemonNotRunning(stopped=self._paths.stopped.exists())
        shape, handler = self._methods[method]
        try:
            values = msgspec.convert(params, shape)
        except msgspec.ValidationError as error:
            raise ParamsInvalid(str(error)) from error
        return msgspec.to_builtins(handler(values))

    def _with_plugins(self, handler: Callable[[PluginHost, Any], Any]) -> Callable[[Any], Any]:
        """*handler* with the plugins loaded in this process, so that their settings are known."""

        def handle(params: Any) -> Any:
            with in_process.host(self._paths, self._settings, env=self._inv.env) as host:
                return handler(host, params)

        return handle

    def _list_plugins(self, host: PluginHost, params: NoParams) -> Listed:
        return Listed(plugins=[row(plugin) for plugin in host.plugins])

    def _show_plugin(self, host: PluginHost, params: Named) -> PluginDetails:
        plugin = host.named(params.name)
        if plugin is None:
            raise NotFound("plugin", params.name, hint="thrum plugin list")
        return details(host, plugin)

    def _whoami(self, params: WhoAmI) -> Any:
        return whoami_from_files(
            self._paths.worktree,
            env=self._inv.env,
            facts=self._facts(),
            role=self._inv.role,
            module=self._inv.module,
            host=this_host(self._inv.env).hostname,
        )

    def _set_status(self, params: SetStatus) -> Any:
        own = whoami_from_files(self._paths.worktree, env=self._inv.env, facts=self._facts()).agent_id
        if params.agent.removeprefix("@") not in ("", own):
            raise UsageError(
                f"the daemon is not running: only the status of @{own} can be set",
                hint="thrum daemon start",
            )
        return set_own_status(
            self._paths.worktree, params.status, env=self._inv.env, facts=self._facts(), clock=SystemClock()
        )

    def _facts(self) -> Facts:
        return probe.facts(os.getpid())

    def _surroundings(self) -> Surroundings:
        return Surroundings(socket=str(self._paths.socket))
