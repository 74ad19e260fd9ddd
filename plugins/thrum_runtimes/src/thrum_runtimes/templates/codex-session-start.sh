#!/usr/bin/env bash
# Managed by thrum; `thrum init --runtime codex` brings it up to date.
# What it prints goes into the session that starts: the briefing of the agent that lives in this worktree.
# Says nothing, and succeeds, in a worktree that lacks the script below, which git ignores.
startup="$(dirname "${BASH_SOURCE[0]}")/../../scripts/thrum-startup.sh"
[ ! -f "$startup" ] || exec bash "$startup"
