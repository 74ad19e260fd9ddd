"""What every plugin keeps."""

from __future__ import annotations

from thrum_kernel.testing.conformance import PluginContract


class TestContract(PluginContract):
    plugin = "worktrees"
