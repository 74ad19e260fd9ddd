"""Sourcegraph Amp."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit
from thrum_runtimes.presets import screens

AMP = RuntimePreset(
    name="amp",
    display_name="Sourcegraph Amp",
    command="amp",
    processes=("amp",),
    instructions_file="CLAUDE.md",
    setup_notes="works with the thrum command alone",
    binaries=(("amp", ("sourcegraph",)),),
    queues_input=True,
    prompt=screens.framed(""),
    busy={"working": r"esc to cancel"},
    dialog=screens.dialogs(tool_approval=r"^[ │]*Run this command\?|^[ │]*[▸▶] Approve"),
    skills_dir=".agents/skills",
    files=(kit.instructions("CLAUDE.md"), kit.startup()),
)
