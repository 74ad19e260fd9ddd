#!/usr/bin/env bash
# Managed by thrum; `thrum init --runtime codex` brings it up to date.
# What it prints goes into the session that starts: the briefing of the agent that lives in this worktree.
exec bash "$(dirname "${BASH_SOURCE[0]}")/../../scripts/thrum-startup.sh"
