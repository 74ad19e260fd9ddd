"""The section ``identity_guard`` of config.json: a mode for each checkpoint.

Source: seed 000, "Configuration Reference"; issue "Plugins" (``dead_pid_auto_reclaim`` is ``warn``).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Mode = Literal["strict", "warn", "off"]
MODES: Final[tuple[str, ...]] = get_args(Mode)


def _lowered(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


AnyCaseMode = Annotated[Mode, BeforeValidator(_lowered)]


class IdentityGuard(BaseModel):
    """How strict each checkpoint is: ``strict`` refuses, ``warn`` logs, tells and lets pass, ``off`` looks away.

    Attributes:
        cross_worktree: a runtime acts as an agent whose runtime it is not.
        quickstart_self_rename: a runtime that is one agent registers as another.
        quickstart_name_collision: a name is registered whose agent is running elsewhere.
        non_git_bootstrap: ``init`` or ``daemon start`` outside git.
        unauthenticated_rpc: a change asked for by a process that the system cannot tell and that claims nobody.
            Forged claims and anonymous callers are refused by the kernel whatever this says.
        daemon_writer_liveness: the daemon writes the identity file of an agent whose runtime has ended.
        prime_ownership: a briefing is asked for from below the agent's own runtime, or beside it.
        dead_pid_auto_reclaim: a new runtime takes over an agent whose runtime has ended.
    """

    model_config = ConfigDict(frozen=True)

    cross_worktree: AnyCaseMode = "strict"
    quickstart_self_rename: AnyCaseMode = "strict"
    quickstart_name_collision: AnyCaseMode = "strict"
    non_git_bootstrap: AnyCaseMode = "strict"
    unauthenticated_rpc: AnyCaseMode = "strict"
    daemon_writer_liveness: AnyCaseMode = "strict"
    prime_ownership: AnyCaseMode = "strict"
    dead_pid_auto_reclaim: AnyCaseMode = "warn"


CHECKPOINTS: Final[tuple[str, ...]] = tuple(IdentityGuard.model_fields)
"""Their ids, which are also the keys of the section."""


class Settings(BaseModel):
    """What config.json may hold for this plugin."""

    model_config = ConfigDict(frozen=True)

    identity_guard: IdentityGuard = Field(default_factory=IdentityGuard)
