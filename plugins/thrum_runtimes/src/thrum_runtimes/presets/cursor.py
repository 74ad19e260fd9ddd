"""Cursor's command line agent."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit
from thrum_runtimes.presets import screens

CURSOR = RuntimePreset(
    name="cursor",
    display_name="Cursor",
    command="agent",
    processes=("cursor-agent", "agent"),
    mcp_supported=True,
    has_session_start_hook=True,
    instructions_file=".cursorrules",
    mcp_config_path="Settings > Tools & MCP",
    setup_notes="MCP: add the server `thrum mcp serve` under Settings > Tools & MCP",
    markers=(".cursor/rules/", ".cursor/", ".cursorrules"),
    environment=("CURSOR_SESSION",),
    binaries=(("cursor-agent", ("cursor",)), ("agent", ("cursor",))),
    skills_dir=".cursor/skills",
    files=(kit.instructions(".cursorrules"), kit.startup()),
    enter_delay_s=0.2,
    bracketed_paste=True,
    prompt=screens.framed(
        "→ ", indent=" ", corners="┌┐└┘", placeholder=r"Plan, search, build anything|Add a follow-up"
    ),
    queues_input=True,
    busy={"working": r"^ *[⬡⬢⠀-⣿]+ \w+"},
    dialog=screens.dialogs(not_in_allowlist=r"^[ │]*Not in allowlist:"),
    keys={"not_in_allowlist.approve": "y", "not_in_allowlist.deny": "Escape"},
)
