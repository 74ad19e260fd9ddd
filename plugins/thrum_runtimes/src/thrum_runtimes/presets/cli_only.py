"""Any other program that can run commands: it asks for mail itself."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit

CLI_ONLY = RuntimePreset(
    name="cli-only",
    display_name="CLI only",
    command="",
    setup_notes=f"{kit.POLLING_SCRIPT} prints a line whenever mail comes",
    files=(kit.startup(), kit.script(kit.POLLING_SCRIPT)),
)
