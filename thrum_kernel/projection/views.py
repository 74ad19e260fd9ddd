"""Read-only views of the cache under the names and columns that people's scripts know.

They show what counts: no placeholder rows, no deleted agents or groups, no text of deleted messages.
Source: DESIGN.md D3; spec/kernel.md §3.3.
"""

from __future__ import annotations


def _time(column: str) -> str:
    """SQL giving the timestamp of a ``…_us`` column, null for null."""
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')"
    return f"{seconds} || printf('.%06dZ', {column} % 1000000)"


_MESSAGE_ID = "'msg_' || m.ulid"

VIEWS = f"""
CREATE VIEW messages AS SELECT
    {_MESSAGE_ID} AS message_id, t.thread_id AS thread_id, a.name AS agent_id,
    coalesce(s.session_id, '') AS session_id, {_time("m.created_us")} AS created_at,
    {_time("m.edited_us")} AS updated_at,
    CASE m.format WHEN 0 THEN 'markdown' WHEN 1 THEN 'plain' ELSE 'json' END AS body_format,
    coalesce(m.body, '') AS body_content, m.structured AS body_structured,
    m.deleted_us IS NOT NULL AS deleted, {_time("m.deleted_us")} AS deleted_at, m.delete_reason AS delete_reason,
    m.authored_by AS authored_by, m.flags & 1 AS disclosed, (m.flags & 2) / 2 AS asserted,
    CASE m.priority WHEN 0 THEN 'low' WHEN 2 THEN 'high' ELSE 'normal' END AS priority,
    'msg_' || m.reply_to AS reply_to, a.incarnation AS incarnation, d.daemon_id AS home_daemon
FROM message m JOIN agent a ON a.id = m.author JOIN daemon d ON d.id = a.home
LEFT JOIN session s ON s.id = m.session LEFT JOIN thread t ON t.id = m.thread;

CREATE VIEW message_scopes AS
SELECT {_MESSAGE_ID} AS message_id, l.type AS scope_type, l.value AS scope_value
FROM message_label x JOIN label l ON l.id = x.label JOIN message m ON m.id = x.message
WHERE l.kind = 0 OR (l.kind = 2 AND l.type IN ('group', 'broadcast'));

CREATE VIEW message_refs AS
SELECT {_MESSAGE_ID} AS message_id,
    CASE WHEN l.kind = 2 AND l.type IN ('agent', 'role') THEN 'mention' ELSE l.type END AS ref_type,
    l.value AS ref_value
FROM message_label x JOIN label l ON l.id = x.label JOIN message m ON m.id = x.message WHERE l.kind IN (1, 2)
UNION SELECT {_MESSAGE_ID}, 'reply_to', 'msg_' || m.reply_to FROM message m WHERE m.reply_to IS NOT NULL;

CREATE VIEW message_deliveries AS
SELECT {_MESSAGE_ID} AS message_id, a.name AS recipient_agent_id, {_time("m.created_us")} AS delivered_at,
    {_time("d.seen_us")} AS seen_at, {_time("d.read_us")} AS read_at, coalesce(v.value, 'agent') AS addressed_via,
    a.incarnation AS incarnation, h.daemon_id AS home_daemon
FROM delivery d JOIN message m ON m.id = d.message JOIN agent a ON a.id = d.agent JOIN daemon h ON h.id = a.home
LEFT JOIN label v ON v.id = d.via;

CREATE VIEW message_edits AS
SELECT * FROM (
    SELECT {_MESSAGE_ID} AS message_id, 'evt_' || e.ulid AS event_id, {_time("e.edited_us")} AS edited_at,
        e.session AS edited_by, lag(e.body) OVER texts AS old_content, e.body AS new_content,
        lag(e.structured) OVER texts AS old_structured, e.structured AS new_structured
    FROM edit e JOIN message m ON m.id = e.message
    WINDOW texts AS (PARTITION BY e.message ORDER BY e.ulid))
WHERE substr(event_id, 5) <> substr(message_id, 5);

CREATE VIEW threads AS
SELECT thread_id, title, {_time("created_us")} AS created_at, created_by, 'msg_' || nullif(root, '') AS root
FROM thread WHERE created_us IS NOT NULL;

CREATE VIEW agents AS
SELECT a.name AS agent_id, a.kind, a.role, a.module, a.display, a.hostname, a.agent_pid,
    {_time("a.registered_us")} AS registered_at, d.daemon_id AS origin_daemon, h.daemon_id AS home_daemon,
    a.incarnation, a.worktree, a.runtime, a.adopted
FROM agent a JOIN daemon d ON d.id = a.daemon JOIN daemon h ON h.id = a.home
WHERE a.registered_us IS NOT NULL AND a.deleted_us IS NULL;

CREATE VIEW sessions AS
SELECT s.session_id, a.name AS agent_id, {_time("s.started_us")} AS started_at, {_time("s.ended_us")} AS ended_at,
    s.end_reason, a.incarnation
FROM session s JOIN agent a ON a.id = s.agent WHERE s.started_us IS NOT NULL AND s.purged = 0;

CREATE VIEW agent_work_contexts AS
SELECT w.session_id, a.name AS agent_id, w.context ->> 'branch' AS branch,
    w.context ->> 'worktree_path' AS worktree_path, w.context -> 'unmerged_commits' AS unmerged_commits,
    w.context -> 'uncommitted_files' AS uncommitted_files, w.context -> 'changed_files' AS changed_files,
    coalesce(w.context -> 'file_changes', '[]') AS file_changes, w.context ->> 'git_updated_at' AS git_updated_at,
    w.context ->> 'current_task' AS current_task, w.context ->> 'task_updated_at' AS task_updated_at,
    w.context ->> 'intent' AS intent, w.context ->> 'intent_updated_at' AS intent_updated_at
FROM work_context w JOIN agent a ON a.id = w.agent
WHERE NOT EXISTS (SELECT 1 FROM session s WHERE s.session_id = w.session_id AND s.agent = w.agent AND s.purged = 1);

CREATE VIEW groups AS
SELECT group_id, name, description, {_time("created_us")} AS created_at, created_by,
    {_time("updated_us")} AS updated_at
FROM grp WHERE created_us IS NOT NULL AND deleted_us IS NULL;

CREATE VIEW group_members AS
SELECT g.group_id, x.member_type, x.member_value, {_time("x.changed_us")} AS added_at, x.changed_by AS added_by
FROM group_member x JOIN grp g ON g.id = x.grp
WHERE x.present = 1 AND g.created_us IS NOT NULL AND g.deleted_us IS NULL;
"""

NAMES = (
    "messages",
    "message_scopes",
    "message_refs",
    "message_deliveries",
    "message_edits",
    "threads",
    "agents",
    "sessions",
    "agent_work_contexts",
    "groups",
    "group_members",
)
"""Every view, in the order of the page that describes them."""
