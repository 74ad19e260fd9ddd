"""The identity files of all worktrees: readable, each where it belongs, none twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Final

from thrum_kernel import gitdir
from thrum_kernel.api import Check, Finding
from thrum_kernel.briefing.doctor import Ground
from thrum_kernel.identity import files, probe
from thrum_kernel.identity.model import Identity
from thrum_kernel.paths import THRUM_FOLDER, Paths


def identities(ground: Ground) -> Sequence[Finding]:
    """What is wrong with identity files, and what is worth knowing."""
    if ground.paths is None:
        return []
    found: list[Finding] = []
    homes: dict[str, list[Path]] = {}
    total = 0
    for root in _roots(ground.paths):
        folder = root / THRUM_FOLDER / "identities"
        read = files.read_all(folder)
        total += len(read.identities)
        found += [
            Finding(
                "identities",
                "error",
                str(problem),
                f"rm {quote(str(problem.path))}",
            )
            for problem in read.problems
        ]
        for identity in read.identities:
            homes.setdefault(identity.name, []).append(root)
            found += _one(identity, root)
        if len(read.identities) > 1:
            names = ", ".join(identity.name for identity in read.identities)
            found.append(
                Finding(
                    "identities",
                    "warning",
                    f"{root} has several identities ({names}): commands there must name one",
                    f"export THRUM_NAME={read.identities[0].name}",
                )
            )
    found += _twice(homes)
    count = f"{total} agent{'' if total == 1 else 's'} registered here"
    return found or [Finding("identities", "ok", count)]


def _one(identity: Identity, root: Path) -> list[Finding]:
    if (
        identity.worktree.startswith("/")
        and Path(identity.worktree) != root
        and Path(identity.worktree).exists()
    ):
        text = f"{identity.name} in {root} says that it lives in {identity.worktree}"
        remedy = (
            f"cd {quote(str(root))} && thrum quickstart {identity.name}"
            f" --role {quote(identity.role)} --module {quote(identity.module)}"
        )
        return [Finding("identities", "warning", text, remedy)]
    running = probe.process(identity.agent_pid) if identity.agent_pid > 0 else None
    started = identity.agent_pid_start
    if identity.agent_pid > 0 and (running is None or started not in (0, running.start_time)):
        text = f"the runtime of {identity.name} (PID {identity.agent_pid}) has ended"
        return [Finding("identities", "ok", text)]
    return []


def _twice(homes: dict[str, list[Path]]) -> list[Finding]:
    return [
        Finding(
            "identities",
            "error",
            f"{name} is registered in {len(roots)} worktrees: {', '.join(map(str, roots))}",
            f"rm {quote(str(roots[-1] / THRUM_FOLDER / 'identities' / files.file_name(name)))}",
        )
        for name, roots in homes.items()
        if len(roots) > 1
    ]


def _roots(where: Paths) -> list[Path]:
    place = gitdir.locate(where.repo)
    known = gitdir.worktrees(place.common_dir) if place is not None else []
    return list(dict.fromkeys([where.repo, where.worktree, *known]))


CHECKS: Final = (Check(subject="identities", look=identities),)
