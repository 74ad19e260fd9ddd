"""What config.json may hold for this plugin: the sections ``tmux``, ``restart`` and ``nudge``.

Source: spec/features.md §17; spec/decisions.md "Worktrees, tmux, queue, permissions, monitors".
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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
        chrome_quiet_seconds: how long a person must have left it alone, and a runtime that takes no input while it
            works must have shown nothing; below 0: no such time. A draft, a dialog or another program stops a wake
            whatever this says.
        dispatch_deadline_seconds: how long that is waited for; below 0: not at all.
        evidence_seconds: how long after Enter the runtime has to show that the message was seen.
        hook_deadline_seconds: how long a runtime with hooks that works is left to them before it is typed to.
        storm_wakes: so many wakes without the agent reading anything end its wakes for a while; 0: never.
        storm_per_minute: agents that write to each other in a circle, each so often a minute, are not woken for a
            while; 0: never.
        storm_pause_seconds: that while.
        working_idle_seconds: an agent whose status is working, and whose terminal shows nothing for so long, is asked
            to go on; each time later it is twice as long; 0: never.
        working_idle_times: how often it is asked until its terminal shows something again.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    chrome_quiet_seconds: float = 10
    dispatch_deadline_seconds: float = 60
    evidence_seconds: Annotated[float, Field(ge=0)] = 30
    hook_deadline_seconds: Annotated[float, Field(ge=0)] = 20
    storm_wakes: Annotated[int, Field(ge=0)] = 10
    storm_per_minute: Annotated[int, Field(ge=0)] = 12
    storm_pause_seconds: Annotated[float, Field(gt=0)] = 900
    working_idle_seconds: Annotated[float, Field(ge=0)] = 300
    working_idle_times: Annotated[int, Field(ge=0)] = 4


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
