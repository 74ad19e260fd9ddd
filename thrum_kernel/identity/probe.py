"""What the system says about a process: its ancestors, where it stands, which namespaces it lives in.

On Linux one scan of ``/proc``, without any subprocess; elsewhere psutil. Nothing is cached: a process may change its
folder at any time, and process ids are used again. A process that goes away while it is looked at gives partial facts
with the step that failed.

Source: DESIGN.md D5; spec/kernel.md §6.4, §10 item 51.
"""

from __future__ import annotations

import functools
import hashlib
import os
import select
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from thrum_kernel.identity.facts import Facts, Folder, Process
from thrum_kernel.identity.processes import RUNTIMES, runtime_of

MAX_CHAIN: Final = 64
_TICK_BITS: Final = 36
_NAMESPACES: Final[tuple[tuple[str, Literal["mount", "pid"]], ...]] = (("mnt", "mount"), ("pid", "pid"))


def facts(pid: int | None, *, pidfd: int | None = None, names: Mapping[str, str] = RUNTIMES) -> Facts:
    """Look at a caller.

    Args:
        pid: its process id as the socket tells; 0 when it lives in a process namespace that ours cannot see; None
            when the system could not tell.
        pidfd: a descriptor of that process where the socket gave one; proves that the id was not used again.
        names: process names of runtimes.
    """
    if pid is None or pid < 0:
        return Facts(failed=frozenset({"pid", "cwd"}))
    if pid == 0:
        return Facts(foreign="pid")
    found = _facts_of_proc(pid, names) if sys.platform == "linux" else facts_of_psutil(pid, names)
    if pidfd is not None and _has_ended(pidfd):
        return Facts(failed=frozenset({"pid", "cwd"}))
    return found


def process(pid: int, *, names: Mapping[str, str] = RUNTIMES) -> Process | None:
    """One process; None when there is none with this id, or only a zombie."""
    if pid <= 0:
        return None
    if sys.platform != "linux":
        return next(iter(_chain_of_psutil(pid, names, limit=1)), None)
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else _process(pid, stat, names)


def alive(pid: int, start_time: int = 0) -> bool:
    """Whether the process with this id still runs, and is the one that started at *start_time* (0: any)."""
    found = process(pid)
    return found is not None and start_time in (0, found.start_time)


# --- Linux -----------------------------------------------------------------------------------------------------------


def _facts_of_proc(pid: int, names: Mapping[str, str]) -> Facts:
    chain = _chain(pid, names)
    if not chain:
        return Facts(pid=pid, failed=frozenset({"pid", "cwd"}))
    foreign = _foreign(pid)
    if foreign:
        return Facts(pid=pid, chain=chain, foreign=foreign)
    folders, git_root, cwd_gone = _standing(f"/proc/{pid}/cwd")
    again = _stat(pid)  # still the same process? then all of the above was about it
    if again is None or _start_time(again) != chain[0].start_time:
        return Facts(pid=pid, failed=frozenset({"pid", "cwd"}))
    try:
        uid = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 — Path costs more than the call
    except OSError:
        uid = -1
    return Facts(
        pid=pid,
        uid=uid,
        chain=chain,
        folders=folders,
        git_root=git_root,
        failed=frozenset() if folders or cwd_gone else frozenset({"cwd"}),
        cwd_gone=cwd_gone,
    )


def _chain(pid: int, names: Mapping[str, str]) -> tuple[Process, ...]:
    chain: list[Process] = []
    while pid > 0 and len(chain) < MAX_CHAIN:
        stat = _stat(pid)
        if stat is None:
            break
        chain.append(_process(pid, stat, names))
        pid = chain[-1].ppid
    return tuple(chain)


Stat = tuple[str, str, int, int]
"""State, name, parent, start in ticks since boot."""


def _stat(pid: int) -> Stat | None:
    data = _read(f"/proc/{pid}/stat")
    name, found, rest = data[data.find(b"(") + 1 :].rpartition(b")")
    if not found:
        return None
    fields = rest.split(None, 20)
    return fields[0].decode(), os.fsdecode(name), int(fields[1]), int(fields[19])


def _process(pid: int, stat: Stat, names: Mapping[str, str]) -> Process:
    _, comm, ppid, _ = stat
    runtime = names.get(comm, "")
    if not runtime and pid != 1:
        arguments = _read(f"/proc/{pid}/cmdline", limit=4096).split(b"\0", 12)[:12]
        runtime = runtime_of(comm, [os.fsdecode(word) for word in arguments], names=names)
    return Process(pid, ppid, _start_time(stat), comm, runtime)


def _start_time(stat: Stat) -> int:
    return _boot() << _TICK_BITS | stat[3]


@functools.cache
def _boot() -> int:
    """17 bits that differ between boots: ticks alone repeat, and more bits would not fit a JSON number."""
    digest = hashlib.sha256(_read("/proc/sys/kernel/random/boot_id")).digest()
    return int.from_bytes(digest[:4], "big") >> 15


def _foreign(pid: int) -> Literal["", "mount", "pid"]:
    for name, label in _NAMESPACES:
        try:
            theirs = os.readlink(f"/proc/{pid}/ns/{name}")  # noqa: PTH115
        except OSError:
            continue  # not ours to read: then its folder is not either, and that step fails
        if theirs != _own_namespace(name):
            return label
    return ""


@functools.cache
def _own_namespace(name: str) -> str:
    return os.readlink(f"/proc/self/ns/{name}")  # noqa: PTH115


def _read(path: str, *, limit: int = 1024) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, limit)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


# --- folders ---------------------------------------------------------------------------------------------------------


def _standing(link: str) -> tuple[tuple[Folder, ...], Path | None, bool]:
    """The folders from a working folder up to its git root, that root, and whether the folder is gone."""
    try:
        text = os.readlink(link)  # noqa: PTH115
        here = os.stat(link)  # noqa: PTH116
    except OSError:
        return (), None, False
    try:
        found = os.stat(text)  # noqa: PTH116
    except OSError:
        return (), None, True
    inode = here.st_dev, here.st_ino
    if inode != (found.st_dev, found.st_ino):  # removed, and perhaps another folder made in its place
        return (), None, True
    return (*_upwards(text, inode), False)


def _upwards(text: str, inode: tuple[int, int]) -> tuple[tuple[Folder, ...], Path | None]:
    found: list[Folder] = []
    while True:
        path = Path(text)
        found.append(Folder(path, inode))
        prefix = text if text.endswith("/") else f"{text}/"
        if _there(f"{prefix}.git"):
            return tuple(found), path
        parent = text.rpartition("/")[0] or "/"
        if parent == text:
            return tuple(found), None
        try:
            above = os.stat(parent)  # noqa: PTH116
        except OSError:
            return tuple(found), None
        text, inode = parent, (above.st_dev, above.st_ino)


def _there(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError:
        return False
    return True


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


# --- elsewhere -------------------------------------------------------------------------------------------------------


def facts_of_psutil(pid: int, names: Mapping[str, str] = RUNTIMES) -> Facts:
    """The same facts where there is no ``/proc``; namespaces are taken to be ours."""
    import psutil

    chain = tuple(_chain_of_psutil(pid, names))
    if not chain:
        return Facts(pid=pid, failed=frozenset({"pid", "cwd"}))
    try:
        caller = psutil.Process(pid)
        uid = caller.uids().real
        text = caller.cwd()
        here = os.stat(text)  # noqa: PTH116
    except (psutil.Error, OSError):
        return Facts(pid=pid, chain=chain, failed=frozenset({"cwd"}))
    folders, git_root = _upwards(text, (here.st_dev, here.st_ino))
    return Facts(pid=pid, uid=uid, chain=chain, folders=folders, git_root=git_root)


def _chain_of_psutil(pid: int, names: Mapping[str, str], *, limit: int = MAX_CHAIN) -> Iterable[Process]:
    import psutil

    for _ in range(limit):
        try:
            found: Any = psutil.Process(pid)
            if found.status() == psutil.STATUS_ZOMBIE:
                return
            ppid, comm, started = found.ppid(), found.name(), int(found.create_time() * 1_000_000)
        except psutil.Error:
            return
        yield Process(pid, ppid, started, comm, runtime_of(comm, _arguments(found), names=names))
        if ppid <= 0:
            return
        pid = ppid


def _arguments(found: Any) -> list[str]:
    import psutil

    try:
        return list(found.cmdline()[:12])
    except (psutil.Error, OSError):
        return []
