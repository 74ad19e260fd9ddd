"""The daemon: holds the lock, composes the rooms, serves until it is told to stop."""
