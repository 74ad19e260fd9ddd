"""Google Gemini CLI.

It reads only the instruction files that its settings name, so the settings of the kit name ours beside the usual ones.
"""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit
from thrum_runtimes.presets import screens
from thrum_runtimes.transcripts import gemini

_INSTRUCTIONS = ".gemini/instructions.md"

GEMINI = RuntimePreset(
    name="gemini",
    display_name="Google Gemini Code Assist",
    command="gemini",
    processes=("gemini",),
    mcp_supported=True,
    instructions_file="~/.gemini/instructions.md",
    mcp_config_path="~/.gemini/settings.json",
    setup_notes="instructions for all projects go to ~/.gemini; init writes those of this one",
    markers=(".gemini/",),
    environment=("GEMINI_CLI",),
    binaries=(("gemini", ("gemini", "google")),),
    skills_dir=".gemini/skills",
    files=(
        kit.instructions(_INSTRUCTIONS),
        kit.settings(
            ".gemini/settings.json", {"context": {"fileName": ["GEMINI.md", "AGENTS.md", _INSTRUCTIONS]}}
        ),
        kit.startup(),
    ),
    enter_delay_s=0.2,
    bracketed_paste=True,
    prompt=screens.framed("[>!*] ", placeholder=r" *Type your message or @path/to/file"),
    busy={"working": r"^[⠀-⣿] .*\(esc to cancel"},
    dialog=screens.dialogs(
        tool_confirmation=r"^[ │]*(?:Apply this change\?|Allow execution of)|Yes, allow once"
    ),
    keys={"tool_confirmation.approve": "1", "tool_confirmation.deny": "Escape"},
    find_transcript=gemini.find,
    read_transcript=gemini.read,
    read_context=gemini.context,
)
