"""What this machine alone knows of its agents, in ``local.db``: text ids, nothing that travels.

- ``agent_homes``: where an incarnation was registered here and the runtime it lives in.
- ``agent_sessions``: who started a session and when it was last heard of.
- ``agent_session_labels``: a session's scopes and refs.
- ``agent_contexts``: what an agent works on in a session, and what of it was put in the log.
- ``agent_identity_files``: a copy of every identity file, for a start that finds them gone.

Source: DESIGN.md D3.
"""

from __future__ import annotations

from typing import Final

from thrum_kernel.api import Migration

LOCAL_MIGRATIONS: Final = (
    Migration(
        name="agents.0001_first",
        statements=(
            """CREATE TABLE agent_homes (
                incarnation TEXT PRIMARY KEY, name TEXT NOT NULL, worktree TEXT NOT NULL DEFAULT '',
                runtime TEXT NOT NULL DEFAULT '', runtime_pid INTEGER NOT NULL DEFAULT 0,
                runtime_started INTEGER NOT NULL DEFAULT 0, last_seen_us INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
            """CREATE TABLE agent_sessions (
                session_id TEXT PRIMARY KEY, incarnation TEXT NOT NULL, runtime_pid INTEGER NOT NULL DEFAULT 0,
                runtime_started INTEGER NOT NULL DEFAULT 0, asserted INTEGER NOT NULL DEFAULT 0,
                last_seen_us INTEGER NOT NULL) WITHOUT ROWID""",
            "CREATE INDEX agent_sessions_incarnation ON agent_sessions (incarnation)",
            """CREATE TABLE agent_session_labels (
                session_id TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('scope', 'ref')), type TEXT NOT NULL,
                value TEXT NOT NULL, added_us INTEGER NOT NULL,
                PRIMARY KEY (session_id, kind, type, value)) WITHOUT ROWID""",
            """CREATE TABLE agent_contexts (
                session_id TEXT PRIMARY KEY, incarnation TEXT NOT NULL, context TEXT NOT NULL,
                journalled TEXT NOT NULL DEFAULT '') WITHOUT ROWID""",
            "CREATE INDEX agent_contexts_incarnation ON agent_contexts (incarnation)",
            """CREATE TABLE agent_identity_files (
                worktree TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
                PRIMARY KEY (worktree, name)) WITHOUT ROWID""",
        ),
    ),
)
"""Steps of the tables above, for `projection.db.LocalDb.migrate`."""
