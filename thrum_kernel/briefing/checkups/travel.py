"""How far the log travels, who can read it there, and what it takes up."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from thrum_kernel import git, gitdir
from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Ground
from thrum_kernel.errors import ThrumError
from thrum_kernel.settings.core import Sync
from thrum_kernel.sync.repository import BRANCH

BUDGET_BYTES: Final = 512 << 20
"""What the log may take up, here and in every clone, before a purge is worth a thought."""

SHOWN: Final = 3
_REMEDY: Final = re.compile(r"thrum config set \S+ [^\s)]+")


def sync(ground: Ground) -> Sequence[Finding]:
    """Whether the log travels, and what keeps it from that."""
    if ground.paths is None:
        return []
    status = ground.ask("sync.status")
    if status is None:
        return [Finding("sync", "ok", "not running: nothing is pushed while there is no daemon")]
    if status.get("last_error"):
        return [Finding("sync", "error", status["last_error"], "thrum sync status")]
    problems = status.get("problems") or []
    found = [Finding("sync", "warning", problem, "thrum log verify") for problem in problems[:SHOWN]]
    if status["local_only"]:
        text = f"local only: {status.get('local_only_reason') or 'nothing is pushed'}"
    else:
        text = str(status["sync_state"])
    return [
        *found,
        Finding("sync", "ok", text),
        *_fetched(ground.paths.repo, str(status.get("remote") or "")),
    ]


def _fetched(repo: Path, remote: str) -> list[Finding]:
    """How to keep the branch of logs out of the person's own fetches, where it comes along with them."""
    place = gitdir.locate(repo) if remote else None
    if (
        place is None
        or not git.run(place, "rev-parse", "-q", "--verify", f"refs/remotes/{remote}/{BRANCH}").ok
    ):
        return []
    kept_out = f"^refs/heads/{BRANCH}"
    refspecs = git.run(place, "config", "--get-all", f"remote.{remote}.fetch").text.splitlines()
    if kept_out in refspecs:
        return []
    text = f"your own git fetch brings the branch {BRANCH} along; to keep it out:"
    command = f"git config --add remote.{remote}.fetch '{kept_out}' && git branch -rd {remote}/{BRANCH}"
    return [Finding("sync", "ok", f"{text} {command}")]


def exposure(ground: Ground) -> Sequence[Finding]:
    """Who can read what is pushed, as far as that was found out; nobody is asked here."""
    if ground.settings is None:
        return []
    try:
        daemon = ground.settings.daemon
    except ThrumError:  # the check of the configuration tells what is wrong with it
        return []
    if daemon.local_only or not (daemon.sync.enabled and daemon.sync.mechanisms):
        return [Finding("exposure", "ok", "nothing leaves this machine")]
    status = ground.ask("sync.status") or {}
    held = str(status.get("local_only_reason") or "")
    if remedy := _REMEDY.search(held):
        return [Finding("exposure", "warning", held, remedy.group())]
    return [_exposed(daemon.sync)]


def _exposed(settings: Sync) -> Finding:
    remote, override = settings.detected_remote, settings.public_exposure_override
    is_public = settings.detected_visibility == "public"
    if override and (not remote or override == remote):
        what = "public" if is_public else "perhaps public"
        text = f"{override} is {what}, and pushed to on purpose: whoever can read it reads every message"
        return Finding("exposure", "ok", text)
    if is_public:
        text = f"{remote} is public: nothing is pushed to it"
        return Finding(
            "exposure", "warning", text, f"thrum config set daemon.sync.public_exposure_override {remote}"
        )
    if settings.detected_visibility == "private":
        return Finding("exposure", "ok", f"{remote} cannot be read by strangers")
    return Finding("exposure", "ok", "no remote was looked at yet; one that may be public is not pushed to")


def budget(ground: Ground) -> Sequence[Finding]:
    """What the log takes up."""
    if ground.paths is None:
        return []
    where = ground.paths
    parts = [
        (what, size_of(folder))
        for what, folder in (
            ("journal", where.journal),
            ("published", where.published),
            ("history", where.repository),
        )
    ]
    text = ", ".join(f"{what} {_mib(size)}" for what, size in parts)
    total = sum(size for _, size in parts)
    if total > BUDGET_BYTES:
        return [
            Finding(
                "budget", "warning", f"{text}: more than {_mib(BUDGET_BYTES)}", "thrum purge --before 90d"
            )
        ]
    return [Finding("budget", "ok", f"{text}, of {_mib(BUDGET_BYTES)}")]


def size_of(folder: Path) -> int:
    """Bytes of all files below *folder*; what goes away meanwhile does not count."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{root}/{name}").st_size
            except FileNotFoundError:
                continue
    return total


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


CHECKS: Final = (
    Check(subject="sync", look=sync),
    Check(subject="exposure", look=exposure),
    Check(subject="budget", look=budget),
)
