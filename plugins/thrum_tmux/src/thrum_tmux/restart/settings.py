"""The section ``restart`` of config.json. Source: spec/features.md §17."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Restart(BaseModel):
    """How sessions begin anew.

    Attributes:
        max_lines: lines of conversation that a snapshot holds at most.
        max_bytes: bytes of conversation that a snapshot holds at most.
        auto_threshold: percent of its context that an agent may use before its session is restarted, where its
            runtime's transcript tells; 0 never does.
        graceful_timeout: seconds that an agent has to save its own snapshot before the transcript is read instead.
        silence_watchdog_seconds: seconds after which a session that began and went quiet without reading its briefing
            is told to; negative never does.
    """

    model_config = ConfigDict(frozen=True)

    max_lines: int = Field(default=200, ge=1, le=100_000)
    max_bytes: int = Field(default=64 * 1024, ge=1024, le=2 << 20)
    auto_threshold: int = Field(default=0, ge=0, le=100)
    graceful_timeout: float = Field(default=30, ge=0, le=3600)
    silence_watchdog_seconds: float = Field(default=30, le=3600)
