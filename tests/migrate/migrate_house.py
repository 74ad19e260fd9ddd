"""A project with an earlier layout in it: migrated in this process, then served by a kernel and asked."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from thrum_kernel import jsonio, paths
from thrum_kernel.cli import bringing
from thrum_kernel.migrate import places
from thrum_kernel.migrate.report import Report
from thrum_kernel.paths import Paths
from thrum_kernel.testing.clock import SettableClock
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.kernel import Kernel, running


def project(repo: Repo, *, daemon_id: str = "") -> Paths:
    """The repository as a person has it who used the reference: with its config.json."""
    (repo.path / ".thrum").mkdir(exist_ok=True)
    identity = {"identity": {"daemon_id": daemon_id}} if daemon_id else {}
    jsonio.write_object(
        repo.path / ".thrum" / "config.json", {"daemon": {"local_only": True}, "old_key": 1, **identity}
    )
    return paths.find(repo.path, env=repo.env)


def migrate(where: Paths, *, snapshots: bool = False) -> Report:
    """Bring over everything."""
    return bringing.bring(where, lambda: places.find(where), snapshots=snapshots)


def preview(where: Paths) -> Report:
    """What `migrate` would do."""
    return bringing.preview(where, places.find(where), snapshots=False, say=lambda text: None)


@contextlib.contextmanager
def served(repo: Repo) -> Iterator[Kernel]:
    """A kernel over the project, months after the team stopped using the reference."""
    with running(repo, clock=SettableClock("2026-06-01T00:00:00Z"), env=repo.env) as kernel:
        yield kernel


def numbers(report: Report, column: str = "found") -> Mapping[str, int]:
    """One column of the table."""
    return {row.kind: getattr(row, column) for row in report.rows}


def lines_of(where: Paths) -> dict[str, list[bytes]]:
    """The published lines by event id, without what says where they lie."""
    found: dict[str, list[bytes]] = {}
    for path in sorted(where.published.rglob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            event = json.loads(line)
            if "event_id" in event:
                event.pop("sequence", None)
                found.setdefault(event["event_id"], []).append(json.dumps(event).encode())
    return found


def tree_hash(folder: Path) -> dict[str, str]:
    """Every file below a folder, with a hash of what it holds and when it was changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            stamp = path.stat().st_mtime_ns
            found[str(path.relative_to(folder))] = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {stamp}"
    return found


def published(where: Paths) -> dict[str, str]:
    """The published files by name."""
    return {
        name: value.partition(" ")[0]
        for name, value in tree_hash(where.published).items()
        if name.startswith(("events/", "messages/"))
    }


def messages(kernel: Kernel) -> dict[str, Any]:
    """Every message, by id, as the cache has it."""
    rows = kernel.daemon.cache.read(
        "SELECT 'msg_' || m.ulid, a.name, m.body, m.created_us, t.thread_id, m.reply_to, m.deleted_us IS NOT NULL,"
        " m.format, m.structured, m.edited_us IS NOT NULL FROM message m JOIN agent a ON a.id = m.author"
        " LEFT JOIN thread t ON t.id = m.thread"
    )
    return {row[0]: row[1:] for row in rows}


def deliveries(kernel: Kernel) -> set[tuple[str, str, int | None, int | None]]:
    """Every delivery: message, recipient, when it was seen and read."""
    rows = kernel.daemon.cache.read(
        "SELECT 'msg_' || m.ulid, a.name, d.seen_us, d.read_us FROM delivery d"
        " JOIN message m ON m.id = d.message JOIN agent a ON a.id = d.agent"
    )
    return set(rows)
