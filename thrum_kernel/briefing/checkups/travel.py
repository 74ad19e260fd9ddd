"""How far the log travels, who can read it there, and what it takes up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from thrum_kernel import git, gitdir
from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Ground
from thrum_kernel.errors import ThrumError
from thrum_kernel.settings.core import Sync
from thrum_kernel.sync.exposure import address_of
from thrum_kernel.sync.repository import BRANCH
from thrum_kernel.sync.usage import mib, usage_of

SHOWN: Final = 3


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
    if status.get("history_kept"):
        found.append(Finding("sync", "warning", status["history_kept"], "thrum sync status"))
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
    if remedy := status.get("remedy"):
        return [Finding("exposure", "warning", str(status.get("local_only_reason") or ""), str(remedy))]
    remote = str(status.get("remote") or "")
    if remote and ground.paths is not None and _is_on_disk(ground.paths.repo, remote):
        return [
            Finding(
                "exposure", "ok", f"{remote} lies on this machine's disk: who may read its files reads it"
            )
        ]
    return [_exposed(daemon.sync)]


def _is_on_disk(repo: Path, remote: str) -> bool:
    """Whether a remote has no address that a stranger could try."""
    place = gitdir.locate(repo)
    urls = git.run(place, "remote", "get-url", "--push", "--all", remote).text.splitlines() if place else ()
    return bool(urls) and not any(address_of(url).url for url in urls)


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


def secrets(ground: Ground) -> Sequence[Finding]:
    """What is held back since it looks like a secret."""
    if ground.settings is None:
        return []
    try:
        settings = ground.settings.daemon
    except ThrumError:  # the check of the configuration tells what is wrong with it
        return []
    if not settings.sync.secret_scan:
        text = "nobody looks for secrets in what travels"
        return [Finding("secrets", "warning", text, "thrum config set daemon.sync.secret_scan true")]
    status = ground.ask("sync.status") or {}
    held: Sequence[str] = status.get("held") or []
    if not held:
        return [Finding("secrets", "ok", "nothing is held back")]
    listed = ", ".join(held[:SHOWN]) + (", …" if len(held) > SHOWN else "")
    text = f"{len(held)} event(s) that look like secrets stay on this machine: {listed}"
    return [Finding("secrets", "ok" if status["local_only"] else "warning", text, "thrum sync held")]


def budget(ground: Ground) -> Sequence[Finding]:
    """What the log takes up."""
    if ground.paths is None:
        return []
    usage = usage_of(ground.paths, budget_bytes=_budget_bytes(ground))
    parts = (("journal", usage.journal), ("published", usage.published), ("history", usage.repository))
    text = ", ".join(f"{what} {mib(part.bytes)}" for what, part in parts)
    if usage.is_past_budget:
        text = f"{text}: more than {mib(usage.budget_bytes)} (daemon.sync.budget_mb); older messages can go:"
        return [Finding("budget", "warning", f"{text} thrum purge --before 90d", "thrum sync gc")]
    return [Finding("budget", "ok", f"{text}, of {mib(usage.budget_bytes)}" if usage.budget_bytes else text)]


def _budget_bytes(ground: Ground) -> int:
    try:
        return (ground.settings.daemon.sync if ground.settings is not None else Sync()).budget_bytes
    except ThrumError:  # the check of the configuration tells what is wrong with it
        return Sync().budget_bytes


CHECKS: Final = (
    Check(subject="sync", look=sync),
    Check(subject="exposure", look=exposure),
    Check(subject="secrets", look=secrets),
    Check(subject="budget", look=budget),
)
