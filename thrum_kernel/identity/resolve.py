"""Who a caller is: the facts of the system against what is registered. Pure; nothing is looked up here.

Facts rank: a token names its principal; then the nearest process above the caller that is registered as an agent's
runtime; then the worktree it stands in; then the claim. A lower rank only chooses among what a higher one leaves
open, and a claim or a worktree that contradicts a higher rank is refused, never passed over.

Source: DESIGN.md D5; spec/decisions.md "Identity"; spec/kernel.md §6.4, §6.5.
"""

from __future__ import annotations

from pathlib import Path

from thrum_kernel.api import Caller
from thrum_kernel.errors import GuardFired, IdentityAmbiguous
from thrum_kernel.identity.facts import Facts
from thrum_kernel.identity.world import Worktree, World

GUARD = "unauthenticated_rpc"
MISMATCH = "identity_mismatch"


def resolve(
    facts: Facts, world: World, claim: str = "", *, named: str = "", token_principal: str | None = None
) -> Caller:
    """The caller that *facts* make.

    Args:
        facts: what the system says.
        world: what is registered.
        claim: the identity the request claims (``caller_agent_id``, ``THRUM_AGENT_ID``); empty when it claims none.
        named: what ``THRUM_NAME`` selects; one that names no agent of this place selects nothing.
        token_principal: whom a valid token names; None when none was given.

    Raises:
        GuardFired: the claim or the place contradicts what ranks above it.
        IdentityAmbiguous: several agents are registered in this worktree and nothing says which.
    """
    if token_principal is not None:
        return _by_token(facts, token_principal, claim)
    if facts.foreign:
        return _anonymous(facts, f"it lives in another {facts.foreign} namespace: a token is needed")
    here = _worktree(facts, world)
    running = _running_as(facts, world)
    if running:
        return _by_process(facts, world, running, here, claim, named)
    if here is not None:
        return _by_worktree(facts, world, here, claim, named)
    if "cwd" in facts.failed:
        return _by_claim(facts, world, claim or named)
    return _anonymous(facts, _outside(facts))


def _by_token(facts: Facts, principal: str, claim: str) -> Caller:
    if claim and claim != principal:
        raise _mismatch(facts, claim, principal, f"{_instead(principal)}; or use a token of {claim}")
    kind = "user" if principal.startswith("user:") else "agent"
    return _caller(facts, principal, "token", None, kind=kind)


def _by_process(
    facts: Facts, world: World, running: str, here: Worktree | None, claim: str, named: str
) -> Caller:
    if claim and claim != running:
        raise _mismatch(facts, claim, running, f"{_instead(running)}: this runtime is that agent's")
    if here is not None and running not in here.names:
        home = next((str(path) for path in world.places_of(running)), "its own worktree")
        raise _mismatch(facts, ", ".join(here.names), running, f"cd {home} and retry")
    if named and named != running and here is not None and named in here.names:
        raise _mismatch(facts, named, running, "unset THRUM_NAME: this runtime is another agent's")
    return _caller(facts, running, "process", here, ignored_name=named if named != running else "")


def _by_worktree(facts: Facts, world: World, here: Worktree, claim: str, named: str) -> Caller:
    if claim and claim not in here.names:
        home = next((f"cd {path} and retry" for path in world.places_of(claim)), _instead(*here.names))
        raise _mismatch(facts, claim, ", ".join(here.names), home)
    for chosen in (claim, named):
        if chosen in here.names:
            ignored = named if named not in here.names else ""
            return _caller(facts, chosen, "worktree", here, ignored_name=ignored)
    if len(here.names) > 1:
        raise IdentityAmbiguous(here.names, ignored_name=named)
    return _caller(facts, here.names[0], "worktree", here, ignored_name=named)


def _by_claim(facts: Facts, world: World, claim: str) -> Caller:
    """The system cannot tell where the caller stands: its word is taken, and shown as such."""
    step = "pid" if "pid" in facts.failed else "cwd"
    if not claim:
        return _anonymous(facts, f"step={step} failed, and it claims no identity")
    if claim not in world.names:
        return _anonymous(facts, f"step={step} failed, and no agent {claim} is registered here")
    return _caller(facts, claim, "claim", None, asserted=True, reason=f"step={step} failed")


def _worktree(facts: Facts, world: World) -> Worktree | None:
    found = (world.worktrees.get(folder.inode) for folder in facts.folders)
    return next((place for place in found if place is not None and place.names), None)


def _running_as(facts: Facts, world: World) -> str:
    owners = (world.runtimes.get(process.key) for process in facts.chain)
    return next((name for name in owners if name), "")


def _outside(facts: Facts) -> str:
    if facts.cwd_gone:
        return "its working folder was removed"
    if facts.git_root is None:
        return f"no git root above {facts.cwd}"
    return f"no agent is registered in {facts.git_root}"


def _anonymous(facts: Facts, reason: str) -> Caller:
    return _caller(facts, "", "none", None, kind="anonymous", reason=reason)


def _caller(
    facts: Facts,
    name: str,
    source: str,
    here: Worktree | None,
    *,
    kind: str = "agent",
    asserted: bool = False,
    reason: str = "",
    ignored_name: str = "",
) -> Caller:
    runtime = facts.runtime
    worktree: Path | None = here.path if here is not None else facts.git_root
    return Caller(
        kind=kind,  # type: ignore[arg-type]
        agent_id=name,
        source=source,  # type: ignore[arg-type]
        asserted=asserted,
        pid=facts.pid,
        runtime_pid=runtime.pid if runtime else 0,
        runtime=runtime.runtime if runtime else "",
        cwd=facts.cwd,
        worktree=worktree,
        reason=reason,
        chain=facts.chain,
        ignored_name=ignored_name,
    )


def _instead(*names: str) -> str:
    """What to do about a claim, wherever it was made."""
    return f"name {' or '.join(names)}, or nobody, with --agent-name, caller_agent_id and THRUM_AGENT_ID"


def _mismatch(facts: Facts, expected: str, detected: str, remedy: str) -> GuardFired:
    lines = {
        "expected agent": expected,
        "detected agent": detected,
        "caller pid": str(facts.pid or ""),
        "caller cwd": str(facts.cwd or ""),
        "remediation": remedy,
    }
    return GuardFired(GUARD, MISMATCH, facts=lines)
