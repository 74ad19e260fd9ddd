"""A plugin's tables: tried in an empty database first, so that a mistake shows before anything real is touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from thrum_kernel.api import Migration, PluginManifest, Tables
from thrum_kernel.plugins.claims import covers
from thrum_kernel.plugins.confined import Owns, authorizer
from thrum_kernel.plugins.record import LoadFailed


def owner_of(manifest: PluginManifest) -> Owns:
    """Says whether a table is one of this plugin's."""
    return lambda name: covers(manifest, "table", name)


def check_tables(manifest: PluginManifest, tables: Tables) -> None:
    """Return when a plugin's statements can be carried out and keep to its own tables.

    Raises:
        LoadFailed: one fails, touches something else, or a step is not named as it must be.
    """
    owns = owner_of(manifest)
    _try("projected table", tables.projected, owns)
    names = [step.name for step in tables.local]
    for step in tables.local:
        if not isinstance(step, Migration) or not step.name.startswith(f"{manifest.name}."):
            raise LoadFailed(f'local step {step!r} must be a Migration called "{manifest.name}.…"')
    if len(set(names)) < len(names):
        raise LoadFailed(f"local steps have one name twice: {', '.join(names)}")
    _try("local step", [line for step in tables.local for line in step.statements], owns)


def _try(what: str, statements: Sequence[str], owns: Owns) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        db.set_authorizer(authorizer(owns, reads_all=False, writes=True, schema=True))
        for statement in statements:
            try:
                db.execute(statement)
            except (sqlite3.Error, sqlite3.Warning, TypeError) as error:
                shown = " ".join(str(statement).split())
                raise LoadFailed(f"{what} {shown[:80]!r}: {error}") from error
    finally:
        db.close()
