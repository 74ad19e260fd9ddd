"""Writes what a team wrote as each of the earlier layouts kept it. Source: spec/kernel.md §1.2, §1.3, §2.6, §3.3."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from migrate_team import MACHINE, Event, Team

from thrum_kernel.testing.harness import Repo

_TABLES = """
CREATE TABLE schema_version (version INTEGER NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
INSERT INTO schema_version (version) VALUES (51);
CREATE TABLE messages (message_id TEXT PRIMARY KEY, thread_id TEXT, agent_id TEXT NOT NULL, session_id TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT, body_format TEXT NOT NULL, body_content TEXT NOT NULL,
    body_structured TEXT, deleted INTEGER DEFAULT 0, deleted_at TEXT, delete_reason TEXT, authored_by TEXT,
    disclosed INTEGER DEFAULT 0, pending_route_resolution INTEGER NOT NULL DEFAULT 0,
    visibility_class TEXT NOT NULL DEFAULT 'targeted', retarget_fill_order TEXT, priority TEXT NOT NULL DEFAULT '');
CREATE TABLE message_scopes (message_id TEXT NOT NULL, scope_type TEXT NOT NULL, scope_value TEXT NOT NULL,
    PRIMARY KEY (message_id, scope_type, scope_value));
CREATE TABLE message_refs (message_id TEXT NOT NULL, ref_type TEXT NOT NULL, ref_value TEXT NOT NULL,
    PRIMARY KEY (message_id, ref_type, ref_value));
CREATE TABLE message_deliveries (message_id TEXT NOT NULL, recipient_agent_id TEXT NOT NULL,
    delivered_at TEXT NOT NULL, seen_at TEXT, read_at TEXT, addressed_via TEXT NOT NULL DEFAULT 'unattributed',
    PRIMARY KEY (message_id, recipient_agent_id));
CREATE TABLE message_reads (message_id TEXT NOT NULL, session_id TEXT NOT NULL, agent_id TEXT NOT NULL,
    read_at TEXT NOT NULL, PRIMARY KEY (message_id, session_id));
CREATE TABLE message_edits (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, edited_at TEXT NOT NULL,
    edited_by TEXT NOT NULL, old_content TEXT, new_content TEXT, old_structured TEXT, new_structured TEXT);
CREATE TABLE threads (thread_id TEXT PRIMARY KEY, title TEXT, created_at TEXT NOT NULL, created_by TEXT NOT NULL);
CREATE TABLE agents (agent_id TEXT PRIMARY KEY, kind TEXT NOT NULL, role TEXT NOT NULL, module TEXT NOT NULL,
    display TEXT NOT NULL DEFAULT '', hostname TEXT NOT NULL DEFAULT '', agent_pid INTEGER NOT NULL DEFAULT 0,
    registered_at TEXT NOT NULL, last_seen_at TEXT NOT NULL DEFAULT '', origin_daemon TEXT NOT NULL DEFAULT '');
CREATE TABLE sessions (session_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT,
    end_reason TEXT, last_seen_at TEXT NOT NULL);
CREATE TABLE session_refs (session_id TEXT NOT NULL, ref_type TEXT NOT NULL, ref_value TEXT NOT NULL,
    added_at TEXT NOT NULL);
CREATE TABLE agent_work_contexts (session_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, branch TEXT,
    worktree_path TEXT, unmerged_commits TEXT, uncommitted_files TEXT, changed_files TEXT,
    file_changes TEXT DEFAULT '[]', git_updated_at TEXT, current_task TEXT, task_updated_at TEXT, intent TEXT,
    intent_updated_at TEXT);
CREATE TABLE groups (group_id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT, created_at TEXT NOT NULL,
    created_by TEXT NOT NULL, updated_at TEXT, metadata TEXT);
CREATE TABLE group_members (id INTEGER PRIMARY KEY AUTOINCREMENT, group_id TEXT NOT NULL, member_type TEXT NOT NULL,
    member_value TEXT NOT NULL, added_at TEXT NOT NULL, added_by TEXT);
CREATE TABLE events (event_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL UNIQUE, type TEXT NOT NULL,
    timestamp TEXT NOT NULL, origin_daemon TEXT NOT NULL, event_json TEXT NOT NULL);
CREATE TABLE purge_metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE command_queue (command_id TEXT PRIMARY KEY, session_name TEXT NOT NULL, requester_agent TEXT NOT NULL,
    command_text TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'queued', submitted_at TEXT NOT NULL);
CREATE TABLE monitors (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, argv TEXT NOT NULL);
CREATE TABLE permission_nudges (message_id TEXT PRIMARY KEY, session TEXT NOT NULL, last_pane_hash BLOB NOT NULL);
INSERT INTO command_queue VALUES ('cmd_1', 'impl', 'coord', 'make test', 'queued', '2026-03-01T10:00:00Z');
INSERT INTO monitors VALUES ('mon_1', 'ci', '["tail", "-f", "log"]');
INSERT INTO permission_nudges VALUES ('msg_x', 'impl', x'00ff10');
"""
KEPT_ROWS = {"command_queue": 1, "monitors": 1, "permission_nudges": 1, "session_refs": 1}


def monolith(repo: Repo, team: Team) -> None:
    """Everything in ``messages.jsonl``, committed on main."""
    (repo.path / "messages.jsonl").write_bytes(b"".join(map(team.line, team.events)))
    _commit(repo)


def sync_folder(repo: Repo, team: Team) -> None:
    """``.thrum/sync/`` with shards, committed on main."""
    write_flat(repo.path / ".thrum" / "sync", team)
    _commit(repo)


def flat_branch(repo: Repo, team: Team) -> Path:
    """Shards on the branch a-sync, checked out in the worktree that the reference registers; where that is."""
    worktree = _branch(repo)
    write_flat(worktree, team)
    _save(repo, worktree)
    return worktree


def last_version(repo: Repo, team: Team, *, journalled: int = 12) -> Path:
    """The reference's last version: a journal of the last days, snapshots on the branch, and the database."""
    worktree = _branch(repo)
    thrum = repo.path / ".thrum"
    (thrum / "var").mkdir(parents=True, exist_ok=True)
    recent = team.events[-journalled:]
    (thrum / "events.jsonl").write_bytes(b"".join(map(team.line, recent)))
    write_snapshots(worktree, team)
    write_database(thrum / "var" / "messages.db", team, recent)
    (thrum / "legacy_ingested").write_text("2026-03-01T00:00:00Z\n")
    _save(repo, worktree)
    return worktree


def write_flat(folder: Path, team: Team) -> None:
    """``events.jsonl`` and ``messages/<agent>.jsonl``."""
    files: dict[str, list[bytes]] = {"events.jsonl": []}
    for event in team.events:
        files.setdefault(team.shard(event), []).append(team.line(event))
    for name, lines in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"".join(lines))


def write_snapshots(folder: Path, team: Team) -> None:
    """``state/``, ``messages-v2/`` and ``receipts/``."""
    deleted = {event["message_id"] for event in team.of("message.delete")}
    for event in team.of("agent.register"):
        row = {key: event.get(key, "") for key in ("agent_id", "kind", "role", "module", "hostname")}
        _write(folder / "state" / "agents" / f"{row['agent_id'].replace(':', '_')}.json", [row | _SEEN])
    for event in team.of("message.create"):
        row = {"message_id": event["message_id"], "author_id": event["agent_id"], "v": 1}
        row |= {"body": event["body"]["content"], "created_at": event["timestamp"]}
        row["deleted"] = event["message_id"] in deleted
        name = f"{event['agent_id'].replace(':', '_')}.jsonl"
        _write(folder / "messages-v2" / name, [row])
    for event in team.of("message.receipt"):
        row = {"message_id": event["message_id"], "agent_id": event["agent_id"], "v": 1}
        _write(folder / "receipts" / f"{event['agent_id']}.jsonl", [row | {"read_at": event["timestamp"]}])


_SEEN = {"last_seen_at": "2026-03-02T00:00:00Z", "v": 1}


def write_database(path: Path, team: Team, recent: list[Event]) -> None:
    """The database as the reference projects the team's events."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(_TABLES)
        for event in team.events:
            _PROJECT.get(event["type"], _nothing)(db, event)
        for number, event in enumerate(recent, 1):
            row = (event["event_id"], number, event["type"], event["timestamp"], MACHINE)
            db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", (*row, team.line(event).decode()))
        db.execute("INSERT INTO session_refs VALUES ('ses_coord', 'worktree', '/x', '2026-03-01T09:00:00Z')")
        db.commit()


def _create(db: sqlite3.Connection, event: Event) -> None:
    body, at = event["body"], event["timestamp"]
    db.execute(
        "INSERT INTO messages (message_id, thread_id, agent_id, session_id, created_at, body_format, body_content,"
        " body_structured, authored_by, disclosed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event["message_id"],
            event.get("thread_id"),
            event["agent_id"],
            event["session_id"],
            at,
            body["format"],
            body["content"],
            body.get("structured"),
            event.get("authored_by"),
            int(event.get("disclosed", False)),
        ),
    )
    for table, key in (("message_scopes", "scopes"), ("message_refs", "refs")):
        for item in event.get(key, ()):
            row = (event["message_id"], item["type"], item["value"])
            db.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", row)
            if item["type"] == "reply_to" and event.get("thread_id"):  # local only, and told by no event
                parent = (event["thread_id"], item["value"])
                db.execute(
                    "UPDATE messages SET thread_id = ? WHERE message_id = ? AND thread_id IS NULL", parent
                )
    for name in {*event["recipients"], event["agent_id"]}:
        read = at if name == event["agent_id"] else None
        delivery = (event["message_id"], name, at, read, read)
        db.execute(
            "INSERT INTO message_deliveries (message_id, recipient_agent_id, delivered_at, seen_at, read_at)"
            " VALUES (?, ?, ?, ?, ?)",
            delivery,
        )


def _edit(db: sqlite3.Connection, event: Event) -> None:
    message, new = event["message_id"], event["body"]["content"]
    (old,) = db.execute("SELECT body_content FROM messages WHERE message_id = ?", (message,)).fetchone()
    db.execute(
        "INSERT INTO message_edits (message_id, edited_at, edited_by, old_content, new_content)"
        " VALUES (?, ?, '', ?, ?)",
        (message, event["timestamp"], old, new),
    )
    db.execute("UPDATE messages SET body_content = ? WHERE message_id = ?", (new, message))


def _delete(db: sqlite3.Connection, event: Event) -> None:
    db.execute(
        "UPDATE messages SET deleted = 1, deleted_at = ?, delete_reason = ? WHERE message_id = ?",
        (event["timestamp"], event.get("reason"), event["message_id"]),
    )


def _receipt(db: sqlite3.Connection, event: Event) -> None:
    columns = ("seen_at", "read_at") if event["receipt_type"] == "read" else ("seen_at",)
    for column in columns:
        db.execute(
            f"UPDATE message_deliveries SET {column} = coalesce({column}, ?)"
            " WHERE message_id = ? AND recipient_agent_id = ?",
            (event["timestamp"], event["message_id"], event["agent_id"]),
        )


def _register(db: sqlite3.Connection, event: Event) -> None:
    columns = ("agent_id", "kind", "role", "module", "hostname", "timestamp", "origin_daemon")
    db.execute(
        "INSERT INTO agents (agent_id, kind, role, module, hostname, registered_at, origin_daemon)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [event.get(key, "") for key in columns],
    )


def _begin(db: sqlite3.Connection, event: Event) -> None:
    at = event["timestamp"]
    row = (event["session_id"], event["agent_id"], at, at)
    db.execute("INSERT INTO sessions VALUES (?, ?, ?, NULL, NULL, ?)", row)


def _end(db: sqlite3.Connection, event: Event) -> None:
    row = (event["timestamp"], event.get("reason", "normal"), event["session_id"])
    db.execute("UPDATE sessions SET ended_at = ?, end_reason = ? WHERE session_id = ?", row)


def _update(db: sqlite3.Connection, event: Event) -> None:
    for context in event["work_contexts"]:
        row = {key: json.dumps(value) if isinstance(value, list) else value for key, value in context.items()}
        row["agent_id"] = event["agent_id"]
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT INTO agent_work_contexts ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def _group(db: sqlite3.Connection, event: Event) -> None:
    row = (
        event["group_id"],
        event["name"],
        event.get("description"),
        event["timestamp"],
        event["created_by"],
    )
    db.execute("INSERT INTO groups VALUES (?, ?, ?, ?, ?, NULL, NULL)", row)


def _member(db: sqlite3.Connection, event: Event) -> None:
    row = [event[key] for key in ("group_id", "member_type", "member_value", "timestamp", "added_by")]
    db.execute(
        "INSERT INTO group_members (group_id, member_type, member_value, added_at, added_by)"
        " VALUES (?, ?, ?, ?, ?)",
        row,
    )


def _leave(db: sqlite3.Connection, event: Event) -> None:
    row = [event[key] for key in ("group_id", "member_type", "member_value")]
    db.execute("DELETE FROM group_members WHERE group_id = ? AND member_type = ? AND member_value = ?", row)


def _drop(db: sqlite3.Connection, event: Event) -> None:
    db.execute("DELETE FROM groups WHERE group_id = ?", (event["group_id"],))


def _nothing(db: sqlite3.Connection, event: Event) -> None:
    """The reference's tables do not hold it."""


_PROJECT: dict[str, Any] = {
    "message.create": _create,
    "message.edit": _edit,
    "message.delete": _delete,
    "message.receipt": _receipt,
    "agent.register": _register,
    "agent.session.start": _begin,
    "agent.session.end": _end,
    "agent.update": _update,
    "group.create": _group,
    "group.delete": _drop,
    "group.member.add": _member,
    "group.member.remove": _leave,
}


def _branch(repo: Repo) -> Path:
    """The orphan branch and its registered worktree, made as the reference makes them."""
    empty = repo.git("hash-object", "-t", "tree", "-w", "--stdin")
    commit = repo.git("commit-tree", empty, "-m", "Initialize Thrum sync")
    repo.git("update-ref", "refs/heads/a-sync", commit)
    worktree = repo.path / ".git" / "thrum-sync" / "a-sync"
    repo.git("worktree", "add", "-q", "-f", str(worktree), "a-sync")
    return worktree


def _save(repo: Repo, worktree: Path) -> None:
    repo.git("-C", str(worktree), "add", ".")
    repo.git("-C", str(worktree), "commit", "-q", "--no-verify", "-m", "sync: 2026-03-01T10:00:00Z")


def _commit(repo: Repo) -> None:
    repo.git("add", "-f", ".")
    repo.git("commit", "-q", "-m", "what thrum wrote")


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.writelines(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)
