"""The checkpoints as pure functions: what the kernel says about a call, against the rules. Nothing is looked up here.

A caller with no runtime above it is a person: whose process an identity names is compared only for runtimes. A process
is the one that a file names if its start time is, too, where the file tells it.

Source: spec/features.md §10; spec/kernel.md §6.6; spec/decisions.md "Identity".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from thrum_guards.categories import category
from thrum_kernel.api import Caller, GuardedCall, IdentityFacts, Process

REGISTER: Final = "agent.register"
OPEN_METHODS: Final = (REGISTER, "session.start", "session.setIntent", "tmux.create", "tmux.launch")
"""Changes that the kernel leaves open to callers that it knows nobody of."""

QUICKSTART: Final = "thrum quickstart --name NAME --role ROLE --module MODULE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A checkpoint whose condition holds.

    Attributes:
        guard: its id.
        reason: a stable word.
        expected_agent: whose identity it is about; empty when nobody's.
        detected_agent: who the caller's processes say it is; empty when nobody.
        expected_pid: the process that should have called; 0 when none.
        remediation: what to do instead, one line.
    """

    guard: str
    reason: str
    expected_agent: str = ""
    detected_agent: str = ""
    expected_pid: int = 0
    remediation: str = ""


def judge(call: GuardedCall, modes: Mapping[str, str]) -> Iterator[Fired]:
    """Every checkpoint that fires for *call*.

    Args:
        modes: by checkpoint; whether a dead owner is looked at decides what else is.
    """
    found: tuple[Fired | None, ...]
    if call.kind == "command":
        found = (owner(call, modes),)
    elif call.kind == "reclaim":
        found = (reclaim(call, modes),)
    elif call.kind == "identity":
        found = (writer_liveness(call),)
    elif call.kind == "prime":
        found = (prime_ownership(call),)
    elif call.kind == "bootstrap":
        found = (bootstrap(call),)
    else:
        found = (unauthenticated(call), self_rename(call), name_collision(call))
    yield from (fired for fired in found if fired is not None)


# --- whose identity a command acts as --------------------------------------------------------------------------------


def owner(call: GuardedCall, modes: Mapping[str, str]) -> Fired | None:
    """``cross_worktree``, or ``dead_pid_auto_reclaim`` where the owner of the identity has ended.

    With ``dead_pid_auto_reclaim`` off a dead owner is one like any other that is not above the caller.
    """
    subject = _acting_as(call)
    if subject is None or call.params.get("repo"):
        return None
    if category(call.name) in ("bypass", "prime-path") or is_above(subject, call.caller):
        return None
    if subject.pid == 0 and in_same_terminal(subject, call.params):
        return None
    return _dead_owner(subject, call, modes) or Fired(
        guard="cross_worktree",
        reason="pid_mismatch",
        expected_agent=subject.name,
        detected_agent=_agent_above(call),
        expected_pid=subject.pid,
        remediation=_way_home(call, subject),
    )


def reclaim(call: GuardedCall, modes: Mapping[str, str]) -> Fired | None:
    """``dead_pid_auto_reclaim``, for an identity that the kernel would give to the caller's runtime.

    A command that only diagnoses takes nothing over.
    """
    if category(str(call.params.get("command", ""))) in ("bypass", "diagnostic") or call.params.get("repo"):
        return None
    subject = _named(call)
    return None if subject is None else _dead_owner(subject, call, modes)


def _dead_owner(subject: IdentityFacts, call: GuardedCall, modes: Mapping[str, str]) -> Fired | None:
    is_dead = subject.pid > 0 and not subject.is_running
    if not call.caller.runtime_pid or not is_dead or modes["dead_pid_auto_reclaim"] == "off":
        return None
    if not in_same_terminal(subject, call.params):
        return None
    return Fired(
        guard="dead_pid_auto_reclaim",
        reason="dead_owner_reclaimed",
        expected_agent=subject.name,
        detected_agent=_agent_above(call),
        expected_pid=subject.pid,
        remediation=f"register this runtime as {subject.name}: thrum quickstart --name {subject.name}",
    )


def _acting_as(call: GuardedCall) -> IdentityFacts | None:
    """The identity that a runtime's command would act as by where it stands.

    A runtime that the kernel knows to be another agent's acts as nobody here; it is told so while the owner is running.
    """
    caller = call.caller
    if not caller.runtime_pid or caller.source == "token":
        return None
    if caller.kind == "agent":
        return _find(call, caller.agent_id)
    if caller.kind == "anonymous" and len(call.identities) == 1 and call.identities[0].is_running:
        return call.identities[0]
    return None


def in_same_terminal(subject: IdentityFacts, params: Mapping[str, object]) -> bool:
    """Whether nothing says that the caller sits in another terminal than the identity's.

    Which session a pane belongs to is known only where ``tmux_session`` tells it; then it must be the same.
    """
    if not subject.tmux_session:
        return True
    session = str(params.get("tmux_session") or "")
    if session:
        return session.partition(":")[0] == subject.tmux_session.partition(":")[0]
    return bool(params.get("tmux_pane"))


# --- registering -----------------------------------------------------------------------------------------------------


def unauthenticated(call: GuardedCall) -> Fired | None:
    """``unauthenticated_rpc``: the system could not tell who calls, and the call claims nobody."""
    caller = call.caller
    if call.name not in OPEN_METHODS or caller.kind != "anonymous" or not caller.reason.startswith("step="):
        return None
    return Fired(
        guard="unauthenticated_rpc",
        reason="no_caller_agent_id",
        remediation="call from a process that is still running, or with a token: thrum daemon token",
    )


def self_rename(call: GuardedCall) -> Fired | None:
    """``quickstart_self_rename``: the caller's runtime is an agent of this worktree and registers as another."""
    if not _registers_itself(call):
        return None
    name = str(call.params.get("name") or "")
    unnamed = f"{call.params.get('role', '')}_"
    mine = [identity for identity in call.identities if is_above(identity, call.caller)]
    if any(identity.name == name or (not name and identity.name.startswith(unnamed)) for identity in mine):
        return None
    for identity in mine:
        return Fired(
            guard="quickstart_self_rename",
            reason="caller_already_owns_identity",
            expected_agent=identity.name,
            detected_agent=name,
            expected_pid=identity.pid,
            remediation=f"stay {identity.name}, or pass --force to give that identity up",
        )
    return None


def name_collision(call: GuardedCall) -> Fired | None:
    """``quickstart_name_collision``: the agent of that name is running in a process that is not above the caller."""
    if not _registers_itself(call):
        return None
    holder = _find(call, str(call.params.get("name") or ""))
    if holder is None or not holder.is_running or is_above(holder, call.caller):
        return None
    return Fired(
        guard="quickstart_name_collision",
        reason="name_held_by_live_foreign_pid",
        expected_agent=holder.name,
        detected_agent=_agent_above(call),
        expected_pid=holder.pid,
        remediation="choose another --name, or pass --force to take it over",
    )


def _registers_itself(call: GuardedCall) -> bool:
    """Whether a runtime registers what it is going to be; with ``agent_pid`` 0 it registers somebody else."""
    asked = call.params.get("agent_pid")
    return call.name == REGISTER and bool(call.caller.runtime_pid) and not call.force and asked != 0


# --- the others ------------------------------------------------------------------------------------------------------


def writer_liveness(call: GuardedCall) -> Fired | None:
    """``daemon_writer_liveness``: the identity to be written names a process that has ended."""
    subject = _named(call)
    if subject is None or subject.pid == 0 or subject.is_running:
        return None
    return Fired(
        guard="daemon_writer_liveness",
        reason="subject_pid_dead",
        expected_agent=subject.name,
        expected_pid=subject.pid,
        remediation=f"start {subject.name} again, then in its worktree: thrum quickstart --name {subject.name}",
    )


def prime_ownership(call: GuardedCall) -> Fired | None:
    """``prime_ownership``: the agent is running, and the nearest runtime above the caller is not that process."""
    subject, nearest = _named(call), _nearest_runtime(call.caller)
    if subject is None or nearest is None or subject.pid == 0 or not subject.is_running:
        return None
    if _is_that(subject, nearest):
        return None
    return Fired(
        guard="prime_ownership",
        reason="caller_not_topmost_runtime",
        expected_agent=subject.name,
        detected_agent=nearest.runtime,
        expected_pid=subject.pid,
        remediation=f"let {subject.name} call thrum prime itself, not a runtime below or beside it",
    )


def bootstrap(call: GuardedCall) -> Fired | None:
    """``non_git_bootstrap``: thrum is set up, or its daemon started, outside git."""
    if call.force or call.params.get("is_git", True):
        return None
    return Fired(
        guard="non_git_bootstrap",
        reason="not_a_git_repo",
        remediation="run git init first, or pass --force to use thrum without git",
    )


# --- processes -------------------------------------------------------------------------------------------------------


def is_above(identity: IdentityFacts, caller: Caller) -> bool:
    """Whether the process that *identity* names is the caller or one above it."""
    return any(_is_that(identity, process) for process in caller.chain)


def _is_that(identity: IdentityFacts, process: Process) -> bool:
    return 0 < identity.pid == process.pid and identity.start_time in (0, process.start_time)


def _nearest_runtime(caller: Caller) -> Process | None:
    return next((process for process in caller.chain if process.runtime), None)


def _agent_above(call: GuardedCall) -> str:
    return next((identity.name for identity in call.identities if is_above(identity, call.caller)), "")


def _named(call: GuardedCall) -> IdentityFacts | None:
    return _find(call, call.name)


def _find(call: GuardedCall, name: str) -> IdentityFacts | None:
    return next((identity for identity in call.identities if identity.name == name), None)


def _way_home(call: GuardedCall, subject: IdentityFacts) -> str:
    if subject.is_running:
        return f"work in a worktree of your own, or register here under a name of your own: {QUICKSTART}"
    return f"register this runtime as {subject.name}: thrum quickstart --name {subject.name}"
