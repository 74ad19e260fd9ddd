"""Augment's command line agent."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit

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
