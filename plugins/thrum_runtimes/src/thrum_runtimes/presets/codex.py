"""OpenAI Codex."""

from __future__ import annotations

from thrum_kernel.api import KitFile, RuntimePreset
from thrum_runtimes import kit
from thrum_runtimes.presets import screens
from thrum_runtimes.transcripts import codex

_SESSION_START = ".codex/hooks/session-start"

CODEX = RuntimePreset(
    name="codex",
    display_name="OpenAI Codex",
    command="codex",
    processes=("codex",),
    mcp_supported=True,
    has_session_start_hook=True,
    instructions_file="AGENTS.md",
    mcp_config_path="Run: codex mcp add thrum 'thrum mcp serve'",
    setup_notes=f"{_SESSION_START} prints the briefing when a session starts",
    markers=(".codex/",),
    binaries=(("codex", ("openai", "codex")),),
    skills_dir=".codex/skills",
    files=(
        KitFile(
            path=_SESSION_START, content=kit.template("codex-session-start.sh"), managed=True, executable=True
        ),
        kit.hooks(
            ".codex/hooks.json",
            {"SessionStart": kit.if_there(f"$(git rev-parse --show-toplevel)/{_SESSION_START}")},
            matchers={"SessionStart": "startup|resume|clear"},
        ),
        kit.instructions("AGENTS.md"),
        kit.startup(),
    ),
    queues_input=True,
    enter_delay_s=0.3,
    bracketed_paste=True,
    prompt={
        "line": r"^›(?:[ \xa0](?!\d+\. )(?P<text>.*))?$",
        "more": r"^(?: {2}|$)(?P<text>.*)$",
        "above": r"^$",
        "below": r"^$",
        "footer": r"^ {2}.*(?:context left|for shortcuts|⏎ send|to queue|esc to )",
        "placeholder": (
            r"Explain this codebase|Summarize recent commits|Implement \{feature\}|Find and fix a bug in @filename"
            r"|Write tests for @filename|Improve documentation in @filename|Run /review on my current changes"
            r"|Use /skills to list available skills"
        ),
        "pasted": screens.PASTED,
    },
    busy={"working": r"^• \w.*\(\d.*esc to interrupt\)"},
    dialog=screens.dialogs(
        tool_confirmation=r"^[ │]*Would you like to run the following command\?|tell Codex what to do differently"
    ),
    keys={"tool_confirmation.approve": "1", "tool_confirmation.deny": "3"},
    find_transcript=codex.find,
    read_transcript=codex.read,
    read_context=codex.context,
)
