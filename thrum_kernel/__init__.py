"""Thrum's kernel: an append-only log in git, projected into SQLite, served over JSON-RPC, extended by plugins."""

__version__ = "0.11.0"
