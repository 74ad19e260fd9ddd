"""The projection: the log as tables, for asking questions of it."""
