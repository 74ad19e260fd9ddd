"""Monitors: a command's output is watched, and what matches is sent to the agent that can act."""
