"""The log on disk: a durable journal, published files that never change, and the purge that filters both."""
