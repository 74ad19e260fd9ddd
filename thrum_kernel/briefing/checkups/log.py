"""The log and this machine's own tables: whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from shlex import quote
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
        found.append(Finding("log", "ok", f"sound (events: {result['events']}, files: {result['files']})"))
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
    text = (
        f"{count} file(s) with bytes that were never acknowledged; look into them first: {where.quarantine}"
    )
    return [Finding("quarantine", "warning", text, f"rm {quote(str(where.quarantine))}/*")]


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
    text = f"{path} is damaged: {'; '.join(map(str, said))}; restore it from a backup while no daemon runs"
    return [Finding("tables", "error", text, "thrum daemon stop")]


CHECKS: Final = (Check(subject="log", look=log), Check(subject="tables", look=tables))
