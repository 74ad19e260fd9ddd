"""What ``thrum doctor`` looks at: whether tmux can do what is needed, and whether the person's settings get in the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from thrum_kernel.api import Check, Finding, PluginContext
from thrum_kernel.errors import ThrumError
from thrum_tmux import model
from thrum_tmux.control.process import TmuxServer, socket_path
from thrum_tmux.errors import ServerGone

SUBJECT: Final = "tmux sessions"


def checks(ctx: PluginContext) -> Sequence[Check]:
    """The checks, on the server that ``tmux.socket`` names."""

    def look(_: object) -> Sequence[Finding]:
        socket = socket_path(ctx.settings.socket, env=os.environ)
        return findings(TmuxServer(socket, env=os.environ))

    return (Check(subject=SUBJECT, look=look),)


def findings(server: TmuxServer) -> list[Finding]:
    """What is wrong, or one line that nothing is. Blocking."""
    if not server.is_installed:
        return []  # the kernel's own check says how to install it
    try:
        number = server.version
        found = list(_version(number))
        try:
            found += _options(server)
        except ServerGone:
            return found or [Finding(SUBJECT, "ok", f"tmux {number}; no server runs on {server.socket_path}")]
    except ThrumError as error:
        return [Finding(SUBJECT, "error", str(error), error.hint)]
    return found or [Finding(SUBJECT, "ok", f"tmux {number} on {server.socket_path}")]


def _version(number: str) -> Iterator[Finding]:
    if model.version(number) < model.OLDEST_CONTROL:
        text = f"tmux {number} cannot be heard: quiet is looked for every two seconds"
        yield Finding(SUBJECT, "warning", text, "install tmux 3.2 or newer")


def _options(server: TmuxServer) -> Iterator[Finding]:
    (unattached,) = server.ask(("show-options", "-s", "-v", "exit-unattached"))
    if unattached == ("on",):
        text = "exit-unattached is on: the server ends, and every agent with it, when nobody is attached"
        yield Finding(SUBJECT, "warning", text, "tmux set -s exit-unattached off")
