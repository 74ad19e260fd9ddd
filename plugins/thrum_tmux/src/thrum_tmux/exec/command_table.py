"""The commands ``tmux exec …``, for the manifest; imports nothing else of ours."""

from __future__ import annotations

from typing import Final

from thrum_kernel.api import PluginCommand

_WHERE: Final = "thrum_tmux.exec.commands"

COMMANDS: Final = tuple(
    PluginCommand(
        words=("tmux", "exec", *words), target=f"{_WHERE}:{name}", help=said, local=True, offline=True
    )
    for words, name, said in (
        ((), "execute", "Run a command in a clean pane: its output and exit status are ours"),
        (("exec",), "execute", "Run a command in a clean pane: its output and exit status are ours"),
        (("create",), "create", "Make a session with a clean shell"),
        (("run",), "run_in", "Run a command in a session of yours, with its environment"),
        (("send",), "send", "Type a line into a session, and wait for nothing"),
        (("capture",), "capture", "Show what a session's pane shows and showed"),
        (("destroy",), "destroy", "End a session and everything that runs in it"),
        (("list",), "list_sessions", "List the sessions of this socket"),
    )
)
