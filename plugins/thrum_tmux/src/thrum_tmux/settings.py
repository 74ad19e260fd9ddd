"""What config.json may hold for this plugin: the sections ``tmux``, ``restart`` and ``nudge``.

Source: spec/features.md §17; spec/decisions.md "Worktrees, tmux, queue, permissions, monitors".
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from thrum_tmux.restart.settings import Restart


def _socket(value: str) -> str:
    if any(character < " " for character in value):
        raise ValueError("must be a name or a path, without control characters")
    if "/" in value and not value.startswith("/"):
        raise ValueError("must be a name, as for tmux -L, or an absolute path, as for tmux -S")
    return value


class Nudge(BaseModel):
    """When a waiting message may be typed into a pane.

    Attributes:
        chrome_quiet_seconds: how long nothing may have changed in it; below 0: at once.
        dispatch_deadline_seconds: how long that is waited for; below 0: not at all.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    chrome_quiet_seconds: int = 10
    dispatch_deadline_seconds: int = 60


class Settings(BaseModel):
    """Everything.

    Attributes:
        socket: the tmux server that sessions are made on: a name as for ``tmux -L``, an absolute path as for
            ``tmux -S``, empty for tmux's default. A session stays where it was made.
        control_mode: hear panes through control-mode clients; false looks every two seconds instead.
        restart: see `Restart`.
        nudge: see `Nudge`.
    """

    socket: Annotated[str, AfterValidator(_socket)] = ""
    control_mode: bool = True
    restart: Restart = Restart()
    nudge: Nudge = Nudge()
