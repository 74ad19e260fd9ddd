"""Brings what earlier programs and layouts kept into the log: read, gathered, mapped, published once.

`places` finds what is there, a reader a layout (`event_lines`, `snapshots`, `database`) gives a common stream of
`facts`, `gathered` makes one set of them, `mapping` and `receipts` turn it into events, `publish` writes what the log does
not have yet, `run` does all of it in an order that may be cut short anywhere. Why it is so:
docs/explanation/migration.md.
"""
