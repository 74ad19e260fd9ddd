"""What doctor looks at that the command line knows about: the daemon's process, its socket, what git ignores."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Sequence
from shlex import quote
from typing import Any, Final

from thrum_kernel import __version__, gitdir
from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Ground
from thrum_kernel.cli import process
from thrum_kernel.cli.setup import ignore_file, ignoring, unignored
from thrum_kernel.errors import FileDamaged
from thrum_kernel.jsonio import write_atomic
from thrum_kernel.plugins.host import PluginHost


def daemon(ground: Ground) -> Sequence[Finding]:
    """The daemon runs, or need not; it is the version that is installed, and has nothing to complain of."""
    where = ground.paths
    if where is None:
        return []
    try:
        running = process.running(where.pid_file)
    except FileDamaged as error:
        return [Finding("daemon", "error", str(error), f"rm {quote(str(where.pid_file))}")]
    if running is None and where.stopped.exists():
        return [Finding("daemon", "warning", "stopped on purpose", "thrum daemon start")]
    if running is None:
        return [Finding("daemon", "ok", "not running; the next command that needs it starts it")]
    status = ground.ask("daemon.status")
    if status is None:
        text = f"PID {running.pid} is alive but does not answer"
        return [Finding("daemon", "error", text, "thrum daemon restart")]
    theirs = str(status["version"]).partition("+")[0]
    found = [Finding("daemon", "ok", f"PID {running.pid}, version {theirs}")]
    if theirs != __version__:
        text = f"runs version {theirs}, installed is {__version__}"
        found = [Finding("daemon", "warning", text, "thrum daemon restart")]
    found += [
        Finding("daemon", "warning", text, "thrum daemon status") for text in status.get("warnings", ())
    ]
    found += [
        Finding(
            "daemon",
            "warning",
            f"service {each['name']} {each['state']}: {each.get('error', '')}",
            "thrum daemon logs",
        )
        for each in status.get("services", ())
        if each.get("error")
    ]
    return found


def socket(ground: Ground) -> Sequence[Finding]:
    """The socket is there while the daemon is, and only then."""
    where = ground.paths
    if where is None:
        return []
    if process.is_answering(where.socket):
        return [Finding("socket", "ok", str(where.socket))]
    if _is_running(ground):
        return [Finding("socket", "error", f"nobody answers on {where.socket}", "thrum daemon restart")]
    left = [path for path in (where.socket, where.pid_file) if path.exists() or path.is_symlink()]
    if not left:
        return [Finding("socket", "ok", "none, as long as no daemon runs")]
    names = " ".join(quote(str(path)) for path in left)
    return [Finding("socket", "warning", f"left behind by a daemon that is gone: {names}", f"rm {names}")]


def clear_away(ground: Ground, finding: Finding) -> str:
    """Remove socket and pid file of a daemon that is gone."""
    where = ground.paths
    if where is None or _is_running(ground) or process.is_answering(where.socket):
        return ""
    removed = []
    for path in (where.socket, where.pid_file):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            removed.append(str(path))
    return f"removed {', '.join(removed)}" if removed else ""


def ignored(ground: Ground) -> Sequence[Finding]:
    """git does not show what is ours as new."""
    where = ground.paths
    place = gitdir.locate(where.repo) if where is not None else None
    if where is None or place is None:
        return []
    missing = unignored(where.repo, place)
    if not missing:
        return [Finding("gitignore", "ok", "git ignores what is ours")]
    text = f"git does not ignore {', '.join(missing)}"
    return [Finding("gitignore", "warning", text, "thrum doctor --fix")]


def ignore(ground: Ground, finding: Finding) -> str:
    """Add the lines that are missing, below what is there."""
    assert ground.paths is not None
    place = gitdir.locate(ground.paths.repo)
    assert place is not None
    path = ignore_file(ground.paths.repo, place)
    change = ignoring(path, mode=0o644)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else change.mode
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, change.data, mode=mode)
    path.chmod(mode)
    return f"added lines to {path}"


def plugins(ground: Ground, host: PluginHost) -> Sequence[Finding]:
    """Every plugin is loaded, and none is in trouble; the daemon knows best."""
    told = ground.ask("plugin.list")
    rows: list[dict[str, Any]] = (
        told["plugins"]
        if told is not None
        else [
            {
                "name": each.name,
                "state": each.state,
                "error": each.error,
                "troubles": each.troubles,
                "distribution": each.source.distribution,
                "version": each.source.version,
            }
            for each in host.plugins
        ]
    )
    found = [finding for row in rows for finding in _plugin(row, ground)]
    return found or [Finding("plugins", "ok", "none installed: the kernel alone")]


def _unusable(ground: Ground) -> list[str]:
    """The files of settings that cannot be read or understood."""
    if ground.settings is None:
        return []
    try:
        document = ground.settings.current()
    except FileDamaged as error:
        return [error.path]
    return [error.path for error in document.damaged.values()]


def _plugin(row: dict[str, Any], ground: Ground) -> list[Finding]:
    """What is to be said of one plugin."""
    name, state = row["name"], row["state"]
    show = f"thrum plugin show {name}"
    if state == "disabled":
        return [Finding("plugins", "ok", f"{name}: disabled ({row.get('error') or 'on purpose'})")]
    if state != "active":
        version = f" {row['version']}" if row.get("version") else ""
        text = f"{name} ({row['distribution']}{version}) is {state}: {row.get('error', '')}"
        return [Finding("plugins", "error", text, _edit(ground, text) or show)]
    enable = f"thrum plugin enable {name}"
    troubles = [
        Finding("plugins", "warning", f"{name}: {subject}: {text}", _edit(ground, text, subject) or enable)
        for subject, text in row.get("troubles", {}).items()
    ]
    if row.get("dead_letters"):
        text = f"{name}: {row['dead_letters']} event(s) could not be taken"
        troubles.append(Finding("plugins", "warning", text, show))
    return troubles or [Finding("plugins", "ok", f"{name}: active")]


def _edit(ground: Ground, text: str, subject: str = "") -> str:
    """What mends a trouble that lies in a file of settings, where switching the plugin on does not; empty for others."""
    found = next((file for file in _unusable(ground) if file in text), "")
    if not found and subject == "settings" and ground.paths is not None:
        found = str(ground.paths.config)  # its values are wrong; the check of the configuration names each
    return f"edit {found}" if found else ""


def _is_running(ground: Ground) -> bool:
    assert ground.paths is not None
    try:
        return process.running(ground.paths.pid_file) is not None
    except FileDamaged:
        return False


CHECKS: Final = (
    Check(subject="daemon", look=daemon),
    Check(subject="socket", look=socket, fix=clear_away),
    Check(subject="gitignore", look=ignored, fix=ignore),
)
