"""``thrum tmux exec``: commands in clean panes of a tmux server of their own.

`server` speaks to that server, `sessions` knows the pool and the named sessions, `job` hands one command to `runner`,
which runs in the pane, and `stream` finds the command's own output among the pane's bytes.
"""
