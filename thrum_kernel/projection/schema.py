"""Tables of the cache ``.thrum/var/messages.db``: slim, integer keys, names interned once.

Tables are named in the singular; the read-only views of `views` carry the plural names that people know
(``messages``, ``agents``, …). A group's table is ``grp``, since ``group`` is a word of SQL.

`message.id` is `ids.ulid_key` of the message's ULID, so integer order is causal order everywhere and a message is
found by its id without an index on text. Where two ULIDs share a key (two daemons, one millisecond), the following
free integers are taken in the order of the ULIDs. Times ending in ``_us`` are microseconds since 1970. Columns ending
in ``_ulid`` hold the ULID of the event that wrote the columns beside it, for deciding which event is the last.

Rows whose own event has not come yet are there when others point at them (an agent without ``registered_us``, a
session without ``started_us``, a group or thread without ``created_us``); views and queries leave them out.

A change here is a new `SCHEMA`: the cache is then rebuilt from the log and swapped, never migrated.
Source: DESIGN.md D3; the views' names and columns: spec/kernel.md §3.3.
"""

from __future__ import annotations

SCHEMA = 4

APPLICATION_ID = 0x5448524D
"""``THRM``, in the header of our databases: any other value there is another program's file."""

MAX_KEY = (1 << 63) - 1
"""The highest key that a message can have; the key of a ULID beyond it names none."""

SCOPE, REF, AUDIENCE, VIA = 0, 1, 2, 3
"""Kinds of `label`."""

DISCLOSED, ASSERTED, ROOTED = 1, 2, 4
"""Bits of ``message.flags``; `ROOTED`: the thread is one that was made for this message, not one it was sent to."""

FORMATS = ("markdown", "plain", "json")
PRIORITIES = ("low", "normal", "high")

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE daemon (id INTEGER PRIMARY KEY, daemon_id TEXT NOT NULL UNIQUE);
CREATE TABLE writer (id INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE, daemon INTEGER); -- null until seen
CREATE TABLE projected (writer INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (writer, first)) WITHOUT ROWID;
CREATE TABLE agent (
    id INTEGER PRIMARY KEY, incarnation TEXT NOT NULL UNIQUE, name TEXT NOT NULL, daemon INTEGER NOT NULL,
    kind TEXT NOT NULL DEFAULT 'agent', role TEXT NOT NULL DEFAULT '', module TEXT NOT NULL DEFAULT '',
    display TEXT NOT NULL DEFAULT '', hostname TEXT NOT NULL DEFAULT '', worktree TEXT NOT NULL DEFAULT '',
    runtime TEXT NOT NULL DEFAULT '', agent_pid INTEGER NOT NULL DEFAULT 0,
    registered_us INTEGER, -- of its first registration
    registered_ulid TEXT NOT NULL DEFAULT '', -- of its last one
    home INTEGER NOT NULL, moved_ulid TEXT NOT NULL DEFAULT '', adopted INTEGER NOT NULL DEFAULT 0,
    deleted_us INTEGER, deleted_ulid TEXT, deleted_reason TEXT);
CREATE TABLE agent_home ( -- every daemon that an incarnation has lived on; events of others do not count
    agent INTEGER NOT NULL, daemon INTEGER NOT NULL, PRIMARY KEY (agent, daemon)) WITHOUT ROWID;
CREATE TABLE session (
    id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, agent INTEGER NOT NULL,
    started_us INTEGER, started_ulid TEXT, ended_us INTEGER, end_reason TEXT, ended_ulid TEXT,
    purged INTEGER NOT NULL DEFAULT 0, UNIQUE (session_id, agent));
CREATE TABLE thread (
    id INTEGER PRIMARY KEY, thread_id TEXT NOT NULL UNIQUE, title TEXT NOT NULL DEFAULT '',
    created_us INTEGER, created_ulid TEXT, created_by TEXT NOT NULL DEFAULT '',
    root TEXT NOT NULL DEFAULT ''); -- ULID of the message it was made for
CREATE TABLE label (
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, -- 0 scope, 1 ref, 2 audience, 3 via
    type TEXT NOT NULL, value TEXT NOT NULL, UNIQUE (kind, type, value));
CREATE TABLE message (
    id INTEGER PRIMARY KEY, ulid TEXT NOT NULL, author INTEGER NOT NULL, session INTEGER, created_us INTEGER NOT NULL,
    format INTEGER NOT NULL DEFAULT 0, -- 0 markdown, 1 plain, 2 json
    body TEXT, structured TEXT, thread INTEGER, reply_to TEXT, -- reply_to: the parent's ULID
    priority INTEGER NOT NULL DEFAULT 1, -- 0 low, 1 normal, 2 high
    flags INTEGER NOT NULL DEFAULT 0, -- 1 disclosed, 2 asserted, 4 thread made for it
    authored_by TEXT, attached INTEGER, writer INTEGER NOT NULL, sequence INTEGER NOT NULL,
    edited_us INTEGER, edited_ulid TEXT, deleted_us INTEGER, deleted_ulid TEXT, delete_reason TEXT,
    hash BLOB); -- SHA-256 of its line without the sequence; null when loaded in bulk
CREATE TABLE message_place ( -- further places of a message whose line came twice
    writer INTEGER NOT NULL, sequence INTEGER NOT NULL, ulid TEXT NOT NULL,
    PRIMARY KEY (writer, sequence)) WITHOUT ROWID;
CREATE TABLE attached ( -- sets of labels, each once: many messages carry the same
    id INTEGER PRIMARY KEY, labels TEXT NOT NULL UNIQUE); -- JSON array of ascending label ids
CREATE TABLE attached_label (attached INTEGER NOT NULL, label INTEGER NOT NULL,
    PRIMARY KEY (attached, label)) WITHOUT ROWID;
CREATE VIEW message_label AS SELECT m.id AS message, x.label AS label
    FROM message m JOIN attached_label x ON x.attached = m.attached;
CREATE TABLE delivery (
    message INTEGER NOT NULL, agent INTEGER NOT NULL, via INTEGER NOT NULL DEFAULT 0, -- label of kind 3, 0 = agent
    read_us INTEGER, seen_us INTEGER,
    hidden INTEGER NOT NULL DEFAULT 0, -- the message is deleted: never unread
    PRIMARY KEY (message, agent)) WITHOUT ROWID;
CREATE TABLE tally ( -- kept by triggers, so that counting an inbox costs one row
    agent INTEGER PRIMARY KEY, total INTEGER NOT NULL, unread INTEGER NOT NULL);
CREATE TABLE edit ( -- texts of a message that was edited; the first is the one it was created with
    message INTEGER NOT NULL, ulid TEXT NOT NULL, edited_us INTEGER NOT NULL, agent INTEGER NOT NULL,
    session TEXT NOT NULL DEFAULT '', format INTEGER NOT NULL DEFAULT 0, body TEXT, structured TEXT,
    PRIMARY KEY (message, ulid)) WITHOUT ROWID;
CREATE TABLE held ( -- lines that do not count now
    kind TEXT NOT NULL, -- agent, message: waits for one; ahead; type; refused; conflict
    subject TEXT NOT NULL, -- what it waits for: an incarnation, a ULID, a type
    writer INTEGER NOT NULL, sequence INTEGER NOT NULL, ulid TEXT NOT NULL, note TEXT NOT NULL DEFAULT '',
    line BLOB NOT NULL, PRIMARY KEY (kind, subject, writer, sequence)) WITHOUT ROWID;
CREATE TABLE event_seen ( -- events other than messages, for telling a second line with one event_id
    ulid TEXT PRIMARY KEY, hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE receipt_range ( -- receipts reaching past what is projected of a writer
    writer INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, agent INTEGER NOT NULL,
    kind INTEGER NOT NULL, at_us INTEGER NOT NULL, -- kind: 0 seen, 1 read
    PRIMARY KEY (writer, first, last, agent, kind, at_us)) WITHOUT ROWID;
CREATE TABLE grp (
    id INTEGER PRIMARY KEY, group_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL DEFAULT '',
    name_ulid TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '',
    description_ulid TEXT NOT NULL DEFAULT '', created_us INTEGER, created_ulid TEXT,
    created_by TEXT NOT NULL DEFAULT '', updated_us INTEGER, deleted_us INTEGER, deleted_ulid TEXT);
CREATE TABLE group_member (
    grp INTEGER NOT NULL, member_type TEXT NOT NULL, member_value TEXT NOT NULL,
    changed_ulid TEXT NOT NULL, changed_us INTEGER NOT NULL, changed_by TEXT NOT NULL, present INTEGER NOT NULL,
    PRIMARY KEY (grp, member_type, member_value)) WITHOUT ROWID;
CREATE TABLE work_context (
    session_id TEXT NOT NULL, agent INTEGER NOT NULL, ulid TEXT NOT NULL, context TEXT NOT NULL, -- JSON
    PRIMARY KEY (session_id, agent)) WITHOUT ROWID;
CREATE TABLE purge (
    ulid TEXT PRIMARY KEY, cutoff_us INTEGER NOT NULL, at_us INTEGER NOT NULL, by TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE change ( -- messages whose text the full-text index has yet to take in, in the order they changed
    id INTEGER PRIMARY KEY AUTOINCREMENT, message INTEGER NOT NULL);
"""

INDEXES = """
CREATE INDEX agent_name ON agent (name);
CREATE INDEX session_agent ON session (agent, started_us);
CREATE INDEX session_open ON session (agent) WHERE ended_us IS NULL AND started_us IS NOT NULL AND purged = 0;
CREATE INDEX thread_root ON thread (root) WHERE root <> '';
CREATE INDEX message_author ON message (author, id);
CREATE INDEX message_thread ON message (thread, id) WHERE thread IS NOT NULL;
CREATE INDEX message_written ON message (writer, sequence);
CREATE INDEX message_attached ON message (attached, id) WHERE attached IS NOT NULL;
CREATE INDEX attached_label_label ON attached_label (label, attached);
CREATE INDEX delivery_inbox ON delivery (agent, message);
CREATE INDEX delivery_unread ON delivery (agent, message) WHERE read_us IS NULL AND hidden = 0;
"""

TRIGGERS = """
CREATE TRIGGER delivery_added AFTER INSERT ON delivery BEGIN
    INSERT INTO tally (agent, total, unread) VALUES (new.agent, 1, new.read_us IS NULL AND new.hidden = 0)
    ON CONFLICT (agent) DO UPDATE SET total = total + 1, unread = unread + excluded.unread;
END;
CREATE TRIGGER delivery_changed AFTER UPDATE OF read_us, hidden ON delivery
WHEN (old.read_us IS NULL AND old.hidden = 0) <> (new.read_us IS NULL AND new.hidden = 0) BEGIN
    UPDATE tally SET unread = unread + CASE WHEN new.read_us IS NULL AND new.hidden = 0 THEN 1 ELSE -1 END
    WHERE agent = new.agent;
END;
CREATE TRIGGER delivery_removed AFTER DELETE ON delivery BEGIN
    UPDATE tally SET total = total - 1, unread = unread - (old.read_us IS NULL AND old.hidden = 0)
    WHERE agent = old.agent;
END;
"""

COUNT = """
INSERT INTO tally (agent, total, unread) SELECT agent, count(*), 0 FROM delivery INDEXED BY delivery_inbox GROUP BY agent;
UPDATE tally SET unread = (SELECT count(*) FROM delivery d INDEXED BY delivery_unread
    WHERE d.agent = tally.agent AND d.read_us IS NULL AND d.hidden = 0);
"""
"""Fills `tally` from the indexes after a bulk load, before the triggers are made."""
