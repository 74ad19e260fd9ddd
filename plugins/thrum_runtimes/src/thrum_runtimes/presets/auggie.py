"""Augment's command line agent."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit
from thrum_runtimes.presets import screens

AUGGIE = RuntimePreset(
    name="auggie",
    display_name="Augment (Auggie)",
    command="auggie",
    processes=("auggie",),
    instructions_file="CLAUDE.md",
    setup_notes="works with the thrum command alone; .augment/rules/thrum.md says how",
    markers=(".augment/",),
    environment=("AUGMENT_AGENT",),
    binaries=(("auggie", ("augment",)),),
    prompt=screens.framed("› ", placeholder=r"Try '.*"),
    busy={"working": r"^ *\S+ .*\(\d.*esc to interrupt\)"},
    dialog=screens.dialogs(
        indexing_consent=r"Always index this workspace", tool_approval=r"^[ │]*Tool Approval Required"
    ),
    keys={
        "indexing_consent.approve": "3",
        "indexing_consent.deny": "Escape",
        "tool_approval.approve": "A",
        "tool_approval.deny": "D",
    },
    skills_dir=".augment/skills",
    files=(
        kit.hooks(
            ".augment/settings.json",
            {"SessionStart": kit.if_there(f"${{AUGMENT_PROJECT_DIR:-.}}/{kit.STARTUP_SCRIPT}")},
        ),
        kit.instructions(".augment/rules/thrum.md", before="---\ntype: always_apply\n---\n"),
        kit.startup(),
    ),
)
