"""What becomes of a checkpoint that fires: its mode, the verdict it makes, and the line in the log.

Source: spec/features.md §10, "Modes" and "Error text".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from thrum_guards.categories import category
from thrum_guards.checkpoints import Fired, bootstrap
from thrum_guards.settings import CHECKPOINTS, IdentityGuard
from thrum_kernel.api import GuardedCall, Verdict
from thrum_kernel.errors import FileDamaged

EVENT: Final = "identity_guard_fire"
RECLAIM: Final = "dead_pid_auto_reclaim"
TELLING: Final = frozenset({"config", "doctor", "plugin"})
"""First words of the commands that say themselves what is wrong with the settings."""

_SEVERITY: Final = {"deny": 2, "warn": 1, "allow": 0}


def by_checkpoint(configured: IdentityGuard) -> dict[str, str]:
    """The mode of every checkpoint."""
    return {key: getattr(configured, key) for key in CHECKPOINTS}


def verdict_of(
    call: GuardedCall, fired: Iterable[Fired], modes: Mapping[str, str], log: logging.Logger
) -> Verdict | None:
    """The strictest verdict on *call*; every checkpoint that fired is logged."""
    verdicts = [verdict for each in fired if (verdict := _verdict(call, each, modes[each.guard], log))]
    return max(verdicts, key=lambda verdict: _SEVERITY[verdict.outcome], default=None)


def damaged(call: GuardedCall, problem: FileDamaged) -> Verdict | None:
    """The verdict while the modes cannot be read: nobody knows what holds, so nothing passes that is judged.

    A daemon may start within git, which no mode forbids. Commands that show are warned in one line, and not at all
    where they tell of the settings themselves.
    """
    asked = category(call.name) if call.kind == "command" else "guarded"
    if asked == "bypass" or (call.kind == "bootstrap" and bootstrap(call) is None):
        return None
    if asked == "diagnostic" and call.name.partition(" ")[0] in TELLING:
        return None
    if asked == "diagnostic":
        return Verdict(outcome="warn", guard="identity_guard", reason=f"settings_damaged: {problem}")
    return Verdict(
        outcome="deny",
        guard="identity_guard",
        reason="settings_damaged",
        facts={"file": problem.path, "problem": problem.reason, "remediation": problem.hint},
    )


def _verdict(call: GuardedCall, fired: Fired, mode: str, log: logging.Logger) -> Verdict | None:
    is_banner = call.kind == "command" and category(call.name) == "diagnostic"
    refuses = mode == "strict" and not is_banner
    _tell(log, call, fired, mode, outcome=_outcome(fired, mode, refuses=refuses))
    if mode == "off":
        # Whoever looks away on purpose lets pass; thrum without git needs somebody's word for it.
        return Verdict(outcome="allow", guard=fired.guard) if call.kind == "bootstrap" else None
    return Verdict(
        outcome="deny" if refuses else "warn",
        guard=fired.guard,
        reason=fired.reason,
        facts=facts_of(call, fired),
    )


def facts_of(call: GuardedCall, fired: Fired) -> dict[str, str]:
    """The lines of the error, in order; only those that say something."""
    caller = call.caller
    lines = {
        "expected agent": fired.expected_agent,
        "detected agent": fired.detected_agent,
        "expected pid": str(fired.expected_pid or ""),
        "caller pid": str(caller.pid or ""),
        "caller cwd": str(caller.cwd or ""),
        "remediation": fired.remediation,
    }
    return {label: text for label, text in lines.items() if text}


def _outcome(fired: Fired, mode: str, *, refuses: bool) -> str:
    if mode == "off":
        return "skipped"
    if refuses:
        return "denied"
    return "auto_reclaimed" if fired.guard == RECLAIM else "allowed"


def _tell(log: logging.Logger, call: GuardedCall, fired: Fired, mode: str, *, outcome: str) -> None:
    """One line, JSON after its name: a folder may be called anything."""
    fields: dict[str, Any] = {
        "guard": fired.guard,
        "mode": mode,
        "outcome": outcome,
        "reason": fired.reason,
        "caller_pid": call.caller.pid,
        "caller_cwd": str(call.caller.cwd or ""),
        "expected_agent": fired.expected_agent,
        "detected_agent": fired.detected_agent,
        "expected_pid": fired.expected_pid,
    }
    level = logging.INFO if outcome in ("skipped", "auto_reclaimed") else logging.WARNING
    log.log(level, "%s %s", EVENT, json.dumps(fields, ensure_ascii=False), extra={"thrum_event": fields})
