"""The section ``monitor`` of config.json."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """What config.json may hold for this plugin, in section ``monitor``.

    Attributes:
        max_running: how many monitors may run at once.
        bytes_per_second: how much of each monitor's output is looked at; what comes faster for more than some seconds
            is skipped and told.
        stop_grace_seconds: how long a command may take to end after SIGTERM before it is killed.
        run_timeout_seconds: how long a scheduled run may take, unless the monitor says otherwise.
    """

    model_config = ConfigDict(frozen=True)

    max_running: int = Field(default=100, ge=1, le=1000)
    bytes_per_second: int = Field(default=16 * 1024 * 1024, ge=4096)
    stop_grace_seconds: float = Field(default=5.0, ge=0, le=8)
    run_timeout_seconds: int = Field(default=3600, ge=1)
