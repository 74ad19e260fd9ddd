"""The runtimes that come with thrum, as data, a file each.

Names, what they can do and where they look: spec/features.md §11.1–11.3. A third party adds one the same way, in a
plugin of its own.
"""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes.presets.amp import AMP
from thrum_runtimes.presets.auggie import AUGGIE
from thrum_runtimes.presets.claude import CLAUDE
from thrum_runtimes.presets.cli_only import CLI_ONLY
from thrum_runtimes.presets.codex import CODEX
from thrum_runtimes.presets.cursor import CURSOR
from thrum_runtimes.presets.gemini import GEMINI
from thrum_runtimes.presets.kiro_cli import KIRO_CLI
from thrum_runtimes.presets.opencode import OPENCODE
from thrum_runtimes.presets.shell import SHELL

BUILT_IN: tuple[RuntimePreset, ...] = (
    CLAUDE,
    CODEX,
    OPENCODE,
    CURSOR,
    GEMINI,
    AUGGIE,
    KIRO_CLI,
    AMP,
    SHELL,
    CLI_ONLY,
)
"""In the order in which they are listed."""

LOOKED_FOR: tuple[str, ...] = (
    "claude",
    "cursor",
    "codex",
    "opencode",
    "gemini",
    "auggie",
    "amp",
    "kiro-cli",
)
"""In the order in which they are looked for; runtimes of others come after them."""
