"""Open Code."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit
from thrum_runtimes.presets import screens

_INSTRUCTIONS = ".opencode/thrum.md"

OPENCODE = RuntimePreset(
    name="opencode",
    display_name="Open Code",
    command="opencode",
    processes=("opencode", ".opencode"),
    mcp_supported=True,
    hooks_supported=True,
    instructions_file="AGENTS.md",
    mcp_config_path="opencode.json",
    setup_notes="the plugin opencode-thrum adds hooks; without it opencode.json names the instructions",
    markers=(".opencode/", "opencode.json"),
    binaries=(("opencode", ("opencode",)),),
    skills_dir=".opencode/skills",
    files=(
        kit.settings(
            "opencode.json",
            {"$schema": "https://opencode.ai/config.json", "instructions": [_INSTRUCTIONS]},
        ),
        kit.instructions(_INSTRUCTIONS),
        kit.startup(),
    ),
    queues_input=True,
    enter_delay_s=0.2,
    bracketed_paste=True,
    prompt={
        "line": r"^ *┃(?: {2}(?P<text>.*))?$",
        "more": r"^ *┃ {2}(?P<text>\S.*)$",
        "above": r"^ *┃$",
        "below": r"^ *┃$",
        "footer": r"^ *┃ {2}\S+ {2}\S",
        "placeholder": r"Ask anything\.\.\. \".*\"",
        "pasted": screens.PASTED,
    },
    busy={"working": r"esc (?:again to )?interrupt"},
    dialog=screens.dialogs(permission_required=r"^[ │┃]*△ Permission required"),
    keys={"permission_required.approve": "Enter", "permission_required.deny": "End,Enter"},
)
