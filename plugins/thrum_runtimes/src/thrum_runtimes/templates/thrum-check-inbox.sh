#!/usr/bin/env bash
# Managed by thrum; `thrum init --runtime NAME` brings it up to date.
# A hook: tells the agent of new mail, in the JSON that its runtime understands, and tells thrum which messages the
# runtime showed it. Always succeeds; says nothing where thrum is not there, does not run, or has nothing to say.
command -v thrum >/dev/null 2>&1 || exit 0
cd "${CLAUDE_PROJECT_DIR:-.}" 2>/dev/null || exit 0

# The usual case of no daemon costs nothing but this look.
home=.thrum
if [ -f "$home/redirect" ]; then IFS= read -r home <"$home/redirect"; fi
if [ -d "$home" ] && [ ! -S "${THRUM_SOCKET:-$home/var/thrum.sock}" ]; then exit 0; fi

thrum runtime hook --runtime "${THRUM_RUNTIME:-claude}" --event "${HOOK_EVENT:-}" 2>/dev/null
exit 0
