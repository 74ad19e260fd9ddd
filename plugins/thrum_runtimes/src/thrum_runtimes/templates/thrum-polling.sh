#!/usr/bin/env bash
# Managed by thrum; `thrum init --runtime cli-only` brings it up to date.
# Prints a line whenever mail has come, until it is stopped. For programs that have no hooks: run it in the background
# and read what it prints, then `thrum inbox`.
command -v thrum >/dev/null 2>&1 || { echo "thrum is not installed" >&2; exit 1; }
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

while :; do
  thrum wait --timeout "${THRUM_POLL_TIMEOUT:-10m}" >/dev/null
  case $? in
    0) echo "New mail -- run: thrum inbox" ;;
    1) ;; # nothing came in that time
    130 | 143) exit 0 ;;
    *) sleep 30 ;; # no daemon, nobody registered: try again later
  esac
done
