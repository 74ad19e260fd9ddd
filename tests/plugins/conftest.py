"""Plugins for tests, installed where only the test sees them."""

from __future__ import annotations

from plugin_site import site

__all__ = ["site"]
