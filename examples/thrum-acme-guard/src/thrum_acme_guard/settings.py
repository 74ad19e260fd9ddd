"""What ``.thrum/config.json`` may hold for this plugin."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """The section ``acme_guard``.

    Attributes:
        team: names of the agents who belong to the team; whoever does not is not judged.
        audiences: groups and roles that a member may address; ``everyone`` is one.
    """

    model_config = ConfigDict(frozen=True)

    team: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
