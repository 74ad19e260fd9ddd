"""Groups and threads: each field by the highest event id, creation by the lowest, deletion for good."""

from __future__ import annotations

from thrum_kernel import ids
from thrum_kernel.clock import parse_us
from thrum_kernel.events.core import (
    GroupCreate,
    GroupDelete,
    GroupMemberAdd,
    GroupMemberRemove,
    GroupUpdate,
    ThreadCreate,
)
from thrum_kernel.projection.schema import ROOTED
from thrum_kernel.projection.tables import Place, Tables, Verdict


def _group(tables: Tables, group_id: str) -> int:
    """Key of a group, made or not."""
    tables.db.execute("INSERT INTO grp (group_id) VALUES (?) ON CONFLICT DO NOTHING", (group_id,))
    return int(tables.db.execute("SELECT id FROM grp WHERE group_id = ?", (group_id,)).fetchone()[0])


def create(tables: Tables, _place: Place, event: GroupCreate) -> Verdict:
    """A group exists."""
    key = _group(tables, event.group_id)
    tables.db.execute(
        "UPDATE grp SET created_us = ?, created_ulid = ?, created_by = ?"
        " WHERE id = ? AND (created_ulid IS NULL OR created_ulid > ?)",
        (parse_us(event.timestamp), event.ulid, event.created_by, key, event.ulid),
    )
    _set(tables, key, "name", event.name, event.ulid)
    _set(tables, key, "description", event.description, event.ulid)
    return None


def update(tables: Tables, _place: Place, event: GroupUpdate) -> Verdict:
    """A group has another name or description; other fields are of a later version and left alone."""
    key = _group(tables, event.group_id)
    for field in ("name", "description"):
        if field in event.fields:
            _set(tables, key, field, event.fields[field], event.ulid)
    tables.db.execute(
        "UPDATE grp SET updated_us = max(coalesce(updated_us, 0), ?) WHERE id = ?",
        (parse_us(event.timestamp), key),
    )
    return None


def _set(tables: Tables, key: int, field: str, value: str, ulid: str) -> None:
    tables.db.execute(
        f"UPDATE grp SET {field} = ?, {field}_ulid = ? WHERE id = ? AND {field}_ulid < ?",
        (value, ulid, key, ulid),
    )


def delete(tables: Tables, _place: Place, event: GroupDelete) -> Verdict:
    """A group is gone; a new one of that name has another id."""
    tables.db.execute(
        "UPDATE grp SET deleted_us = ?, deleted_ulid = ? WHERE id = ? AND (deleted_ulid IS NULL OR deleted_ulid > ?)",
        (parse_us(event.timestamp), event.ulid, _group(tables, event.group_id), event.ulid),
    )
    return None


def add_member(tables: Tables, _place: Place, event: GroupMemberAdd) -> Verdict:
    """Somebody belongs to a group."""
    _member(tables, event, event.added_by, present=True)
    return None


def remove_member(tables: Tables, _place: Place, event: GroupMemberRemove) -> Verdict:
    """Somebody does not belong to a group any more."""
    _member(tables, event, event.removed_by, present=False)
    return None


def _member(tables: Tables, event: GroupMemberAdd | GroupMemberRemove, by: str, *, present: bool) -> None:
    tables.db.execute(
        "INSERT INTO group_member (grp, member_type, member_value, changed_ulid, changed_us, changed_by, present)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET changed_ulid = excluded.changed_ulid,"
        " changed_us = excluded.changed_us, changed_by = excluded.changed_by, present = excluded.present"
        " WHERE excluded.changed_ulid > changed_ulid",
        (
            _group(tables, event.group_id),
            event.member_type,
            event.member_value,
            event.ulid,
            parse_us(event.timestamp),
            by,
            present,
        ),
    )


def create_thread(tables: Tables, _place: Place, event: ThreadCreate) -> Verdict:
    """A thread exists; of several creations the first holds."""
    key = tables.thread(event.thread_id)
    old_root, old_ulid = tables.db.execute(
        "SELECT root, created_ulid FROM thread WHERE id = ?", (key,)
    ).fetchone()
    if old_ulid is not None and old_ulid <= event.ulid:
        return None
    root = ids.bare(event.root)
    tables.db.execute(
        "UPDATE thread SET title = ?, created_us = ?, created_ulid = ?, created_by = ?, root = ? WHERE id = ?",
        (event.title, parse_us(event.timestamp), event.ulid, event.created_by, root, key),
    )
    for message in {old_root, root} - {""}:
        attach_root(tables, message)
    return None


def attach_root(tables: Tables, ulid: str) -> None:
    """Put a message that was sent to no thread into the first thread that was made for it."""
    key = tables.message_key(ulid)
    if key is None:
        return
    row = tables.db.execute(
        "SELECT id FROM thread WHERE root = ? AND root <> '' ORDER BY created_ulid LIMIT 1", (ulid,)
    ).fetchone()
    tables.db.execute(
        f"UPDATE message SET thread = ?, flags = flags | {ROOTED} WHERE id = ? AND (thread IS NULL OR flags & {ROOTED})",
        (row[0] if row else None, key),
    )
    tables.changed(key)


def is_root(tables: Tables, ulid: str) -> bool:
    """Whether a thread was made for this message."""
    return (
        tables.db.execute("SELECT 1 FROM thread WHERE root = ? AND root <> ''", (ulid,)).fetchone()
        is not None
    )
