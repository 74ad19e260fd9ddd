"""Open Code."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit

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
    bracketed_paste=True,
)
