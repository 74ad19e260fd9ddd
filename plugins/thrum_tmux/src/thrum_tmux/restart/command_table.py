"""The commands about restarts and snapshots, for the manifest; imports nothing else of ours."""

from __future__ import annotations

from typing import Final

from thrum_kernel.api import PluginCommand

_WHERE: Final = "thrum_tmux.restart.commands"

COMMANDS: Final = (
    PluginCommand(
        words=("tmux", "restart"),
        target="thrum_tmux.restart.restart_command:restart",
        help="Begin a session's runtime anew, and tell it what it was doing",
        in_daemon=True,
    ),
    *(
        PluginCommand(
            words=("tmux", "snapshot", word),
            target=f"{_WHERE}:{word}",
            help=said,
            local=True,
            offline=True,
        )
        for word, said in (
            ("save", "Save what was said lately, for the next session of this agent's runtime"),
            ("restore", "Print the restart snapshot and take it away"),
            ("check", "Tell whether a restart snapshot waits: exit status 0, else 1"),
        )
    ),
    *(
        PluginCommand(
            words=("restart", word),
            target=f"{_WHERE}:moved_{word}",
            help=f"Moved: thrum tmux snapshot {word}",
            local=True,
            offline=True,
            hidden=True,
        )
        for word in ("save", "restore", "check")
    ),
)
