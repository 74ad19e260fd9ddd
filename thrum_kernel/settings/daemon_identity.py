"""Which daemon this is.

The daemon id lives in ``T/daemon.json``, so that it survives ``git clean -fdx``; config.json shows it. A project that
was *moved* keeps its id. A *copy* is told by evidence: the old place still holds a T with the same id; then we, who
notice, take a new one. On *another machine* nothing is changed: the caller asks (``daemon adopt``) and calls again
with the answer.

Source: DESIGN.md D1 "Which daemon"; spec/kernel.md §6.3.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from thrum_kernel import ids, jsonio
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import FileDamaged
from thrum_kernel.paths import Paths
from thrum_kernel.settings.document import SettingsFile

_DAEMON_ID: Final = re.compile(r"d_[0-7][0-9A-HJKMNP-TV-Z]{25}")
_MACHINE_FILES: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


@dataclass(frozen=True, slots=True)
class Host:
    """This machine.

    Attributes:
        hostname: shown to people.
        machine_id: the same for ever on this machine; empty when it has none (often so in containers).
    """

    hostname: str
    machine_id: str = ""


@dataclass(frozen=True, slots=True)
class DaemonIdentity:
    """What ``T/daemon.json`` holds.

    Attributes:
        repo_name: name of the project's folder when it was made; kept after a move.
        repo_path: the folder that holds ``.thrum``; `sync_path`: T; `sync_inode`: what folder T really is.
        git_origin_url: the remote when it was made.
        init_at: timestamp.
    """

    daemon_id: str
    repo_name: str
    hostname: str
    repo_path: str
    git_origin_url: str
    init_at: str
    machine_id: str = ""
    sync_path: str = ""
    sync_inode: int = 0

    @property
    def block(self) -> dict[str, str]:
        """What config.json shows of it."""
        return {
            "daemon_id": self.daemon_id,
            "repo_name": self.repo_name,
            "hostname": self.hostname,
            "repo_path": self.repo_path,
            "git_origin_url": self.git_origin_url,
            "init_at": self.init_at,
        }


@dataclass(frozen=True, slots=True)
class Known:
    """Which daemon this is, and how that was told.

    Attributes:
        identity: what holds now; with `told` ``elsewhere`` what was found and left as it is.
        told: ``same``; ``created`` there was none; ``moved``; ``copied`` a new id was taken because the old place
            still has the old one; ``elsewhere`` the record is of another machine and nobody decided yet;
            ``adopted`` it was, and the id was kept; ``renewed`` it was, and a new id was taken.
        previous: what was found, when something else holds now.
    """

    identity: DaemonIdentity
    told: Literal["same", "created", "moved", "copied", "elsewhere", "adopted", "renewed"]
    previous: DaemonIdentity | None = None


def this_host(env: Mapping[str, str]) -> Host:
    """This machine; ``THRUM_HOSTNAME`` names it, else its host name without ``.local``."""
    name = env.get("THRUM_HOSTNAME", "").strip() or socket.gethostname().removesuffix(".local")
    for file in _MACHINE_FILES:
        try:
            text = file.read_text("ascii", "replace").strip()
        except OSError:
            continue
        if text and text != "uninitialized":
            return Host(name, text)
    return Host(name)


def load_or_create(
    paths: Paths,
    settings: SettingsFile,
    *,
    clock: Clock,
    host: Host,
    origin_url: str = "",
    new_id: Callable[[], str],
    on_elsewhere: Literal["ask", "adopt", "renew"] = "ask",
) -> Known:
    """The identity of the daemon of this project; both files are brought up to date.

    Args:
        paths: the project; T is made when missing.
        settings: its config.json.
        host: this machine.
        origin_url: the remote, for a new identity.
        new_id: makes a ULID.
        on_elsewhere: what to do with a record of another machine; ``ask`` changes nothing.

    Raises:
        FileDamaged: ``T/daemon.json`` or config.json cannot be used; nothing was changed.
    """
    settings.current()  # a damaged config.json is told before anything is written
    with jsonio.locked(paths.sync):
        recorded = load(paths) or _of_config(paths, settings)
        fresh = _fresh(paths, clock, host, origin_url, new_id)
        known = _judged(recorded, fresh, paths, on_elsewhere)
        if known.told != "elsewhere" and known.identity != load(paths):
            jsonio.write_object(paths.daemon_file, asdict(known.identity))
    if known.told != "elsewhere":
        settings.update("identity", known.identity.block)
    return known


def is_copy(paths: Paths) -> bool:
    """Whether T was copied from a place that still holds the original: what `load_or_create` takes a new id for."""
    try:
        recorded = load(paths)
    except FileDamaged:
        return False
    if recorded is None or recorded.sync_path in ("", str(paths.sync)):
        return False
    return _still_lives(recorded, paths)


def load(paths: Paths) -> DaemonIdentity | None:
    """What ``T/daemon.json`` holds; None when there is none.

    Raises:
        FileDamaged: it cannot be used.
    """
    try:
        raw = jsonio.read_object(paths.daemon_file)
    except FileNotFoundError:
        return None
    found = _decoded(raw)
    if found is None:
        raise FileDamaged(
            paths.daemon_file,
            "holds no daemon id",
            hint="put the daemon_id that config.json shows back into it; without it this daemon's agents are strangers",
        )
    return found


def _judged(
    recorded: DaemonIdentity | None,
    fresh: DaemonIdentity,
    paths: Paths,
    on_elsewhere: Literal["ask", "adopt", "renew"],
) -> Known:
    if recorded is None:
        return Known(fresh, "created")
    kept = replace(
        fresh,
        daemon_id=recorded.daemon_id,
        repo_name=recorded.repo_name or fresh.repo_name,
        git_origin_url=recorded.git_origin_url,
        init_at=recorded.init_at or fresh.init_at,
    )
    if _is_elsewhere(recorded, fresh):
        if on_elsewhere == "ask":
            return Known(recorded, "elsewhere")
        if on_elsewhere == "adopt":
            return Known(kept, "adopted", recorded)
        return Known(fresh, "renewed", recorded)
    if recorded.sync_path in ("", fresh.sync_path):
        return Known(
            kept, "same" if recorded.repo_path == fresh.repo_path else "moved", _unless(recorded, kept)
        )
    if _still_lives(recorded, paths):
        return Known(fresh, "copied", recorded)
    return Known(kept, "moved", recorded)


def _is_elsewhere(recorded: DaemonIdentity, fresh: DaemonIdentity) -> bool:
    """Whether the record is of another machine.

    Where a machine has no id (containers) the same folder T, told by its inode, is proof enough that it is ours:
    a container gets a new host name at every start.
    """
    if recorded.machine_id and fresh.machine_id:
        return recorded.machine_id != fresh.machine_id
    if recorded.hostname in ("", fresh.hostname):
        return False
    return recorded.sync_inode != fresh.sync_inode


def _still_lives(recorded: DaemonIdentity, paths: Paths) -> bool:
    """Whether the old place still holds another T with this id."""
    old = Path(recorded.sync_path)
    try:
        if old.samefile(paths.sync):
            return False
        found = _decoded(jsonio.read_object(old / paths.daemon_file.name))
    except (OSError, FileDamaged):
        return False
    return found is not None and found.daemon_id == recorded.daemon_id


def _of_config(paths: Paths, settings: SettingsFile) -> DaemonIdentity | None:
    """The identity that config.json shows, when T has none (the reference kept it there).

    The first form of ids, made of the host name, is not taken over: two projects of one host shared it. Nor is one
    whose project still lives elsewhere.
    """
    raw = settings.current().raw.get("identity")
    found = _decoded(raw) if isinstance(raw, dict) else None
    if found is None or found.repo_path in ("", str(paths.repo)):
        return found
    try:
        other = jsonio.read_object(Path(found.repo_path) / ".thrum" / "config.json").get("identity")
    except (OSError, FileDamaged):
        return found
    is_copy = isinstance(other, dict) and other.get("daemon_id") == found.daemon_id
    return None if is_copy else found


def _fresh(
    paths: Paths, clock: Clock, host: Host, origin_url: str, new_id: Callable[[], str]
) -> DaemonIdentity:
    return DaemonIdentity(
        daemon_id=ids.daemon_id(new_id()),
        repo_name=paths.repo.name,
        hostname=host.hostname,
        repo_path=str(paths.repo),
        git_origin_url=origin_url,
        init_at=format_us(clock.now_us()),
        machine_id=host.machine_id,
        sync_path=str(paths.sync),
        sync_inode=os.stat(paths.sync).st_ino,  # noqa: PTH116
    )


def _decoded(raw: Mapping[str, Any]) -> DaemonIdentity | None:
    daemon_id = raw.get("daemon_id")
    if not isinstance(daemon_id, str) or not _DAEMON_ID.fullmatch(daemon_id):
        return None
    inode = raw.get("sync_inode")
    texts = {name: str(raw.get(name) or "") for name in DaemonIdentity.__slots__ if name != "sync_inode"}
    return DaemonIdentity(**texts, sync_inode=inode if isinstance(inode, int) else 0)


def _unless(recorded: DaemonIdentity, kept: DaemonIdentity) -> DaemonIdentity | None:
    return None if recorded == kept else recorded
