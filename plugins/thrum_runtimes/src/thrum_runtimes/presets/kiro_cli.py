"""Amazon's Kiro CLI."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit
from thrum_runtimes.presets import screens

KIRO_CLI = RuntimePreset(
    name="kiro-cli",
    display_name="Amazon Kiro CLI",
    command="kiro-cli chat",
    processes=("kiro-cli",),
    instructions_file="AGENTS.md",
    setup_notes="starts its interactive chat mode",
    markers=(".kiro/",),
    binaries=(("kiro-cli", ("kiro",)),),
    prompt={"line": r"^(?:\[[\w -]+\] )?(?:\d+% )?!?>(?: (?P<text>.*))?$", "at_cursor": "yes"},
    busy={"thinking": r"^[⠀-⣿] Thinking"},
    dialog=screens.dialogs(shell_approval=r"^[ │]*shell requires approval"),
    keys={"shell_approval.approve": "Enter", "shell_approval.deny": "Escape"},
    skills_dir=".kiro/skills",
    files=(kit.instructions("AGENTS.md"), kit.startup()),
)
