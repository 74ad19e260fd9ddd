"""The command line: a thin client, the tree of commands, and the two places where they run."""
