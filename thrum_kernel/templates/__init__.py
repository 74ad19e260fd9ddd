"""Texts that thrum writes into a project: what an agent should know, and the block for an instructions file."""

from __future__ import annotations

from importlib.resources import files

STRATEGIES = ("sub-agent-strategy.md", "thrum-registration.md", "resume-after-context-loss.md")
"""Files below ``.thrum/strategies/``, refreshed by every ``init``."""


def read(name: str) -> bytes:
    """The bytes of one template, e.g. ``llms.txt`` or ``strategies/sub-agent-strategy.md``."""
    return files(__name__).joinpath(name).read_bytes()
