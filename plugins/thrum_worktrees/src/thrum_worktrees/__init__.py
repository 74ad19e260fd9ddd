"""A git worktree for each agent: made, wired to the shared ``.thrum``, listed, and taken away without losing work."""
