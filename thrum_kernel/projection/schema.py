"""Tables of the cache ``.thrum/var/messages.db``: slim, integer keys, names interned once.

`messages.id` is `ids.ulid_key` of the message's ULID, so integer order is causal order everywhere and a message is
found by its id without an index on text. Where two ULIDs share a key (two daemons, one millisecond), the following
free integers are taken in the order of the ULIDs. Times ending in ``_us`` are microseconds since 1970.

A change here is a new `SCHEMA`: the cache is then rebuilt from the log and swapped, never migrated.
Source: DESIGN.md D3; the views' names and columns: spec/kernel.md §3.3.
"""

from __future__ import annotations

SCHEMA = 1

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE daemons (id INTEGER PRIMARY KEY, daemon_id TEXT NOT NULL UNIQUE);
CREATE TABLE writers (id INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE, daemon INTEGER NOT NULL);
CREATE TABLE projected (writer INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (writer, first)) WITHOUT ROWID;
CREATE TABLE agents (
    id INTEGER PRIMARY KEY, incarnation TEXT NOT NULL UNIQUE, name TEXT NOT NULL, daemon INTEGER NOT NULL,
    kind TEXT NOT NULL DEFAULT 'agent', role TEXT NOT NULL DEFAULT '', module TEXT NOT NULL DEFAULT '',
    display TEXT NOT NULL DEFAULT '', hostname TEXT NOT NULL DEFAULT '', worktree TEXT NOT NULL DEFAULT '',
    runtime TEXT NOT NULL DEFAULT '', agent_pid INTEGER NOT NULL DEFAULT 0,
    registered_us INTEGER, registered_ulid TEXT, -- null until its registration is known
    home INTEGER NOT NULL, moved_ulid TEXT NOT NULL DEFAULT '', adopted INTEGER NOT NULL DEFAULT 0,
    deleted_ulid TEXT, deleted_reason TEXT);
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL UNIQUE, agent INTEGER, started_us INTEGER,
    ended_us INTEGER, end_reason TEXT, ended_ulid TEXT);
CREATE TABLE threads (
    id INTEGER PRIMARY KEY, thread_id TEXT NOT NULL UNIQUE, title TEXT NOT NULL DEFAULT '',
    created_us INTEGER, created_by TEXT NOT NULL DEFAULT '', root TEXT NOT NULL DEFAULT '');
CREATE TABLE labels (
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, -- 0 scope, 1 ref, 2 audience
    type TEXT NOT NULL, value TEXT NOT NULL, UNIQUE (kind, type, value));
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, ulid TEXT NOT NULL, author INTEGER NOT NULL, session INTEGER, created_us INTEGER NOT NULL,
    format INTEGER NOT NULL DEFAULT 0, -- 0 markdown, 1 plain, 2 json
    body TEXT, structured TEXT, thread INTEGER, reply_to TEXT, -- reply_to: the parent's ULID
    priority INTEGER NOT NULL DEFAULT 1, -- 0 low, 1 normal, 2 high
    flags INTEGER NOT NULL DEFAULT 0, -- 1 disclosed, 2 asserted
    authored_by TEXT, writer INTEGER NOT NULL, sequence INTEGER NOT NULL,
    edited_us INTEGER, edited_ulid TEXT, deleted_us INTEGER, delete_reason TEXT);
CREATE TABLE message_label (message INTEGER NOT NULL, label INTEGER NOT NULL,
    PRIMARY KEY (message, label)) WITHOUT ROWID;
CREATE TABLE deliveries (
    message INTEGER NOT NULL, agent INTEGER NOT NULL, via INTEGER NOT NULL DEFAULT 0, -- label of kind 2, 0 = agent
    read_us INTEGER, seen_us INTEGER, PRIMARY KEY (message, agent)) WITHOUT ROWID;
CREATE TABLE edits (
    message INTEGER NOT NULL, ulid TEXT NOT NULL, edited_us INTEGER NOT NULL, agent INTEGER NOT NULL,
    session TEXT NOT NULL DEFAULT '', format INTEGER NOT NULL DEFAULT 0, body TEXT, structured TEXT,
    PRIMARY KEY (message, ulid)) WITHOUT ROWID;
CREATE TABLE waiting ( -- events that came before their subject
    subject TEXT NOT NULL, event_ulid TEXT NOT NULL, line BLOB NOT NULL,
    writer INTEGER NOT NULL, PRIMARY KEY (subject, event_ulid)) WITHOUT ROWID;
CREATE TABLE receipt_ranges ( -- receipts reaching past what is projected of a writer
    agent INTEGER NOT NULL, writer INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    kind INTEGER NOT NULL, at_us INTEGER NOT NULL, -- kind: 0 seen, 1 read
    PRIMARY KEY (writer, first, last, agent, kind, at_us)) WITHOUT ROWID;
CREATE TABLE groups (
    id INTEGER PRIMARY KEY, group_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '', created_us INTEGER, created_by TEXT NOT NULL DEFAULT '',
    updated_us INTEGER, updated_ulid TEXT NOT NULL DEFAULT '', deleted_ulid TEXT);
CREATE TABLE group_members (
    grp INTEGER NOT NULL, member_type TEXT NOT NULL, member_value TEXT NOT NULL,
    changed_ulid TEXT NOT NULL, changed_us INTEGER NOT NULL, changed_by TEXT NOT NULL, present INTEGER NOT NULL,
    PRIMARY KEY (grp, member_type, member_value)) WITHOUT ROWID;
CREATE TABLE work_contexts (
    session_id TEXT PRIMARY KEY, agent INTEGER NOT NULL, ulid TEXT NOT NULL, context TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE purges (ulid TEXT PRIMARY KEY, cutoff_us INTEGER NOT NULL, by TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE ahead (event_ulid TEXT PRIMARY KEY, writer INTEGER NOT NULL, line BLOB NOT NULL) WITHOUT ROWID;
"""

INDEXES = """
CREATE INDEX agents_name ON agents (name);
CREATE INDEX sessions_agent ON sessions (agent, started_us);
CREATE INDEX messages_author ON messages (author, id);
CREATE INDEX messages_thread ON messages (thread, id) WHERE thread IS NOT NULL;
CREATE UNIQUE INDEX messages_place ON messages (writer, sequence);
CREATE INDEX message_label_label ON message_label (label, message);
CREATE INDEX deliveries_inbox ON deliveries (agent, message);
CREATE INDEX deliveries_unread ON deliveries (agent, message) WHERE read_us IS NULL;
"""
