"""Claude Code."""

from __future__ import annotations

from thrum_kernel.api import RuntimePreset
from thrum_runtimes import kit
from thrum_runtimes.presets import screens
from thrum_runtimes.transcripts import claude

_TOLD = ("Stop", "PostToolUse", "UserPromptSubmit", "PreCompact")
"""Events at which it is told about mail."""

_PROJECT = "${CLAUDE_PROJECT_DIR}"
_HOOKS = {"SessionStart": kit.if_there(f"{_PROJECT}/{kit.STARTUP_SCRIPT}")} | {
    event: kit.if_there(f"{_PROJECT}/{kit.INBOX_SCRIPT}", env=f"HOOK_EVENT={event}") for event in _TOLD
}

CLAUDE = RuntimePreset(
    name="claude",
    display_name="Claude Code",
    command="claude",
    processes=("claude",),
    mcp_supported=True,
    hooks_supported=True,
    has_session_start_hook=True,
    instructions_file="CLAUDE.md",
    mcp_config_path=".claude/settings.json",
    setup_notes="MCP: add the server `thrum mcp serve` to .claude/settings.json",
    markers=(".claude/settings.json", ".claude/"),
    environment=("CLAUDE_SESSION_ID",),
    binaries=(("claude", ("claude",)),),
    skills_dir=".claude/skills",
    files=(
        kit.hooks(".claude/settings.json", _HOOKS),
        kit.startup(),
        kit.script(kit.INBOX_SCRIPT),
    ),
    queues_input=True,
    enter_delay_s=0.2,
    bracketed_paste=True,
    prompt={
        "line": r"^(?:│ >|❯|>)(?:[ \xa0](?P<text>.*?))??(?: *│)?$",
        "more": r"^(?:│ +| {2}|$)(?P<text>.*?)(?: *│)?$",
        "above": r"^(?:─{10,}.*|╭─.*╮)$",
        "below": r"^(?:─{10,}.*|╰─.*╯)$",
        "placeholder": r"Try \".*\"",
        "pasted": screens.PASTED,
        "anchor": r"^─{20,}",
        "ended": r"^✻ \w+ for (?:\d+m )?\d+s",
    },
    busy={"spinner": r"^[·✢✳✶✻✽*] \w.*…"},
    dialog=screens.dialogs(
        tool_confirmation=(
            r"(?s)^[ │⎿]*Do you want to [^\n]{1,120}\?.{0,500}?❯ \d\.|Esc to cancel · Tab to amend"
            r"|No, and tell Claude what to do differently"
        ),
    ),
    keys={"tool_confirmation.approve": "1"},
    find_transcript=claude.find,
    read_transcript=claude.read,
    read_context=claude.context,
)
