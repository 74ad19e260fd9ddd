"""The methods that a daemon serves: which room gives them, and what that room needs for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from thrum_kernel.api import Method
from thrum_kernel.bus.token_methods import TokenMethods
from thrum_kernel.context.room import Contexts
from thrum_kernel.daemon.status import StatusMethods
from thrum_kernel.plugins.methods import PluginMethods
from thrum_kernel.settings.methods import ConfigMethods
from thrum_kernel.sync.gc import Collector
from thrum_kernel.sync.log import LogMethods

if TYPE_CHECKING:
    from thrum_kernel.daemon.main import Daemon


def methods_of(daemon: Daemon) -> Iterator[Method]:
    """Everything that the rooms of *daemon* serve, in the order of ``rpc.describe``."""
    identity = daemon.opened.known.identity
    rooms = (
        StatusMethods(
            clock=daemon.clock,
            identity=lambda: identity.block,
            sync=daemon.about.sync_state,
            facts=daemon.about.facts,
            sync_warnings=daemon.sync.warnings,
            adopt=daemon.adopt,
        ),
        daemon.messaging,
        daemon.agents,
        Contexts(thrum_of=daemon.asked.thrum_of, shared=daemon.opened.paths.thrum, sharing=daemon.sharing),
        ConfigMethods(settings=daemon.opened.settings, surroundings=daemon.about.surroundings),
        TokenMethods(
            daemon.tokens,
            daemon.clock,
            port=lambda: daemon.websocket.port if daemon.websocket else 0,
            git_user=daemon.git_user,
            register_user=daemon.asked.register_user,
        ),
        daemon.sync,
        Collector(
            publisher=daemon.publisher, travel=daemon.travel, usage=daemon.sync.usage, mend=daemon.mender.look
        ),
        LogMethods(
            tree=daemon.opened.tree,
            daemon=daemon.opened.daemon_id,
            durable=lambda: daemon.committer.durable,
            message_types=daemon.message_types,
            rebuild=daemon.log_asked.project_aside,
            quiet=daemon.publisher.quiet,
            noticed=daemon.mender.notice,
            is_repository_sound=daemon.mender.is_repository_sound,
        ),
        daemon.held,
        daemon.purger,
        daemon.prime,
        daemon.hints,
        daemon.gate,
        PluginMethods(daemon.plugged),
    )
    for room in rooms:
        yield from room.methods()
