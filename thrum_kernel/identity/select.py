"""Which of a worktree's identity files a command takes, and what flags and environment change about it.

Five steps: ``THRUM_NAME``, the only file, the file whose process is above the caller, the files of this worktree, else
an error that lists them. Where several fit a step, the next one chooses among those. Pure.

Source: seed 000, "Identity Resolution Order"; spec/kernel.md §6.1; spec/decisions.md "Identity".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from thrum_kernel.errors import FileDamaged, IdentityAmbiguous, IdentityMissing
from thrum_kernel.identity.facts import Facts
from thrum_kernel.identity.model import Identity


@dataclass(frozen=True, slots=True)
class Selected:
    """The identity that was taken.

    Attributes:
        identity: the file's content.
        by: the step that chose it.
        ignored_name: a ``THRUM_NAME`` that names no file here; worth a hint. Empty otherwise.
    """

    identity: Identity
    by: Literal["THRUM_NAME", "only", "pid", "worktree"]
    ignored_name: str = ""


def select(
    identities: Iterable[Identity],
    *,
    worktree: Path,
    env: Mapping[str, str],
    facts: Facts | None = None,
    damaged: Sequence[FileDamaged] = (),
) -> Selected:
    """Choose among the *identities* of a worktree's folder; their order makes no difference.

    Args:
        identities: everything readable in the folder.
        worktree: root of the worktree one stands in.
        env: the caller's environment; ``THRUM_NAME`` is read.
        facts: the caller's processes, when they could be read.
        damaged: files of the folder that cannot be used; any of them may be the caller's, so nothing is taken for
            being the only one.

    Raises:
        FileDamaged: there are none but damaged ones.
        IdentityMissing: there are none.
        IdentityAmbiguous: several fit and none is named.
    """
    found = sorted(identities, key=lambda identity: identity.name)
    if not found and damaged:
        raise damaged[0]
    if not found:
        raise IdentityMissing(str(worktree))
    name = env.get("THRUM_NAME", "").strip()
    named = next((identity for identity in found if name and identity.name == name), None)
    if named is not None:
        return Selected(named, "THRUM_NAME")
    if len(found) == 1 and not damaged:
        return Selected(found[0], "only", name)
    running = _running_above(found, facts)
    if running is not None:
        return Selected(running, "pid", name)
    local = [identity for identity in found if _is_of(identity, worktree)]
    if len(local) == 1 and not damaged:
        return Selected(local[0], "worktree", name)
    candidates = [identity.name for identity in local or found]
    raise IdentityAmbiguous(candidates, damaged=damaged, ignored_name=name)


def overridden(identity: Identity, *, env: Mapping[str, str], role: str = "", module: str = "") -> Identity:
    """The identity with role, module and display as flags, then environment, then file say; the name never changes."""
    agent = identity.agent
    return msgspec.structs.replace(
        identity,
        agent=msgspec.structs.replace(
            agent,
            role=role or env.get("THRUM_ROLE", "") or agent.role,
            module=module or env.get("THRUM_MODULE", "") or agent.module,
            display=env.get("THRUM_DISPLAY", "") or agent.display,
        ),
    )


def _running_above(identities: Sequence[Identity], facts: Facts | None) -> Identity | None:
    """The identity of the nearest process above the caller; None also when two share that process."""
    for process in facts.chain if facts else ():
        owners = [
            identity
            for identity in identities
            if identity.agent_pid == process.pid and identity.agent_pid_start in (0, process.start_time)
        ]
        if owners:
            return owners[0] if len(owners) == 1 else None
    return None


def _is_of(identity: Identity, worktree: Path) -> bool:
    named = identity.worktree
    return named == str(worktree) if Path(named).is_absolute() else bool(named) and named == worktree.name
