"""The section ``restart`` of config.json. Source: spec/features.md §17."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Restart(BaseModel):
    """How agents are restarted.

    Attributes:
        max_lines: lines of the conversation that a snapshot keeps at most.
        max_bytes: bytes of the conversation that a snapshot keeps at most.
        auto_threshold: percent of its context an agent may use before it is restarted, where its runtime's transcript
            tells; 0: never on its own.
        context_window: tokens that fit into a context; 0: as the transcript tells, or is usual for the runtime.
        graceful_timeout: seconds that an agent has to save before it is restarted all the same.
        silence_watchdog_seconds: how long after its start an agent may show nothing before it is reminded of its
            instructions; 0 means 30, below 0 never.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    max_lines: Annotated[int, Field(ge=1, le=100_000)] = 200
    max_bytes: Annotated[int, Field(ge=1024, le=2 << 20)] = 64 << 10
    auto_threshold: Annotated[int, Field(ge=0, le=100)] = 0
    context_window: Annotated[int, Field(ge=0)] = 0
    graceful_timeout: Annotated[int, Field(ge=0, le=3600)] = 30
    silence_watchdog_seconds: int = 30
