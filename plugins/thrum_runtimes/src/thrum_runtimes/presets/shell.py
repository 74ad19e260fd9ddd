"""A plain shell, for trying things out: launching it types nothing, and its process is nobody's runtime."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit

SHELL = RuntimePreset(
    name="shell",
    display_name="Shell (bash)",
    command="bash",
    setup_notes="for tests and for people",
    files=(kit.startup(),),
    prompt={"line": r"^[^$#%❯]*[$#%❯](?: (?P<text>.*))?$", "at_cursor": "yes"},
)
