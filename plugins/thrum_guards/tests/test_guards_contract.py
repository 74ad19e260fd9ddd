"""The contract that every plugin keeps."""

from __future__ import annotations

from thrum_guards.plugin import MANIFEST

from thrum_kernel.testing.conformance import PluginContract


class TestGuards(PluginContract):
    manifest = MANIFEST
