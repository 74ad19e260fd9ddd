"""The log and this machine's own tables: whole, and how far the log travels."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Ground
from thrum_kernel.errors import FileDamaged
from thrum_kernel.jsonio import read_object
from thrum_kernel.paths import Paths
from thrum_kernel.store.check import check
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.tree import Tree

SHOWN: Final = 3


def log(ground: Ground) -> Sequence[Finding]:
    """Every file of the log, as ``log verify`` reads them."""
    if ground.paths is None or not ground.paths.sync.is_dir():
        return []
    result = ground.ask("log.verify") or _checked_here(ground.paths)
    problems = [problem for problem in result["problems"] if problem["kind"] != "quarantined"]
    found = [
        Finding(
            "log", "error", f"{problem['kind']}: {problem['path']}: {problem['problem']}", "thrum log verify"
        )
        for problem in problems[:SHOWN]
    ]
    if len(problems) > SHOWN:
        found.append(Finding("log", "error", f"and {len(problems) - SHOWN} more", "thrum log verify"))
    if not found:
        found.append(Finding("log", "ok", f"{result['events']} events in {result['files']} files are sound"))
    return [*found, *_quarantined(ground.paths, result)]


def _checked_here(where: Paths) -> dict[str, Any]:
    """The same where no daemon answers."""
    found = check(Tree(OsDisk(), where.sync), daemon=_daemon_id(where))
    problems = [{"kind": kind, "path": path, "problem": text} for kind, path, text in found.problems]
    return {
        "problems": problems,
        "files": found.files,
        "events": found.events,
        "quarantined": found.quarantined,
    }


def _daemon_id(where: Paths) -> str:
    try:
        return str(read_object(where.daemon_file).get("daemon_id", ""))
    except (OSError, FileDamaged):
        return ""


def _quarantined(where: Paths, result: Mapping[str, Any]) -> list[Finding]:
    count = result["quarantined"]
    if not count:
        return [Finding("quarantine", "ok", "empty")]
    text = f"{count} file(s) with bytes that were never acknowledged: {where.quarantine}"
    return [Finding("quarantine", "warning", text, f"look into them, then: rm {where.quarantine}/*")]


def tables(ground: Ground) -> Sequence[Finding]:
    """``local.db``, which cannot be made anew."""
    if ground.paths is None or not ground.paths.local_db.exists():
        return []
    path = ground.paths.local_db
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            said = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    except sqlite3.Error as error:
        said = [str(error)]
    if said == ["ok"]:
        return [Finding("tables", "ok", str(path))]
    text = f"{path} is damaged: {'; '.join(map(str, said))}"
    return [Finding("tables", "error", text, "thrum daemon stop, then restore it from a backup")]


def sync(ground: Ground) -> Sequence[Finding]:
    """How far the log travels, and what it costs."""
    if ground.paths is None:
        return []
    size = _size_of(ground.paths.published)
    journal = _size_of(ground.paths.journal)
    held = f"{size // 1024} KiB published, {journal // 1024} KiB in the journal"
    status = ground.ask("sync.status")
    if status is None:
        return [Finding("sync", "ok", f"not running; {held}; nothing is pushed while there is no daemon")]
    if status.get("last_error"):
        return [Finding("sync", "error", f"{status['last_error']}; {held}", "thrum sync status")]
    if status["local_only"]:
        reason = status.get("local_only_reason") or "nothing is pushed"
        return [Finding("sync", "ok", f"local only: {reason}; {held}")]
    return [Finding("sync", "ok", f"{status['sync_state']}; {held}")]


def _size_of(folder: Path) -> int:
    return sum(
        path.stat().st_size for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts
    )


CHECKS: Final = (
    Check(subject="log", look=log),
    Check(subject="tables", look=tables),
    Check(subject="sync", look=sync),
)
