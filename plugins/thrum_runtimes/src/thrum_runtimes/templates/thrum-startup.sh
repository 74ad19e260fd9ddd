#!/usr/bin/env bash
# Managed by thrum; `thrum init --runtime NAME` brings it up to date.
# Prints the briefing of the agent that lives in this worktree: who it is, its mail, its team, its instructions.
# Says nothing, and succeeds, where thrum is not installed or not set up.
command -v thrum >/dev/null 2>&1 || exit 0
cd "$(dirname "${BASH_SOURCE[0]}")/.." 2>/dev/null || exit 0
[ -d .thrum ] || exit 0

# A runtime that takes variables for its later commands: they find this repository from any folder.
if [ -n "${CLAUDE_ENV_FILE:-}" ]; then
  line=$(printf 'export THRUM_HOME=%q' "$PWD")
  grep -qxF "$line" "$CLAUDE_ENV_FILE" 2>/dev/null || printf '%s\n' "$line" >>"$CLAUDE_ENV_FILE"
fi

thrum prime 2>/dev/null
exit 0
