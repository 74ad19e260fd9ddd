"""Restart with memory: what an agent was doing is kept as a snapshot, its session begins anew and is told of it.

`conversation` makes text of a transcript, `snapshot` is the file's format, `store` the files of a worktree, `section`
what ``prime`` shows of them.
"""
