"""``thrum doctor``: everything that is looked at, each for itself, with the command that mends it.

A check that raises or hangs is a finding of its own and costs the others nothing. Checks of the kernel and of plugins
come through the same door, `api.Check`; the kernel's get a `Ground`, a plugin's its own context.

Source: issue "Plugins"; spec/decisions.md "The command line, everywhere".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from thrum_kernel.api import Check, Finding
from thrum_kernel.errors import ThrumError
from thrum_kernel.paths import Paths
from thrum_kernel.settings.document import SettingsFile

KERNEL_LIMIT_S: Final = 120.0
"""How long a check of the kernel may take: the log may be large."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the kernel's checks look at.

    Attributes:
        cwd: where doctor was called.
        env: the environment of whoever called it.
        paths: the project; None where there is none.
        missing: why there is none; empty otherwise.
        settings: its config.json with the sections of plugins; None where there is no project.
        ask: ``(method, params)`` → the daemon's answer; None when no daemon answers.
    """

    cwd: Path
    env: Mapping[str, str]
    paths: Paths | None = None
    missing: str = ""
    settings: SettingsFile | None = None
    ask: Callable[..., Any] = lambda method, **params: None


@dataclass(frozen=True, slots=True)
class Appointment:
    """A check with what it is given.

    Attributes:
        ctx: its argument.
        limit_s: how long it may take.
        owner: the plugin it belongs to; empty for the kernel.
    """

    check: Check
    ctx: Any
    limit_s: float = KERNEL_LIMIT_S
    owner: str = ""


@dataclass(slots=True)
class Diagnosis:
    """What was found.

    Attributes:
        findings: in the order of the checks; as things stand after mending.
        fixed: what was mended, one line each.
    """

    findings: list[Finding] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)

    def count(self, level: str) -> int:
        """How many findings have a level."""
        return sum(finding.level == level for finding in self.findings)


class _TooLong(Exception):
    """A check did not come back."""


def examine(appointments: Sequence[Appointment], *, fix: bool = False) -> Diagnosis:
    """Run every check; with *fix* mend what is safe to mend, and look again."""
    diagnosis = Diagnosis()
    for appointment in appointments:
        findings = _look(appointment)
        if fix and appointment.check.fix is not None:
            said = [text for finding in findings if (text := _mend(appointment, finding))]
            if said:
                diagnosis.fixed += said
                findings = _look(appointment)
        diagnosis.findings += findings
    return diagnosis


def _look(appointment: Appointment) -> list[Finding]:
    check = appointment.check
    try:
        found = _within(appointment.limit_s, lambda: list(check.look(appointment.ctx)))
    except _TooLong:
        text = f"not known: the check took longer than {appointment.limit_s:g} s"
    except ThrumError as error:
        text = f"not known: {error}"
    except Exception as error:  # noqa: BLE001 - one check must not keep the others from their turn
        text = f"not known: {type(error).__name__}: {error}"
    else:
        return found
    owner = f"plugin {appointment.owner}: " if appointment.owner else ""
    remedy = f"thrum plugin show {appointment.owner}" if appointment.owner else "thrum daemon logs"
    return [Finding(check.subject, "error", f"{owner}{text}", remedy)]


def _mend(appointment: Appointment, finding: Finding) -> str:
    """What was done about a finding; empty when nothing could be."""
    fix = appointment.check.fix
    if fix is None or finding.level == "ok":
        return ""
    try:
        said = _within(appointment.limit_s, lambda: fix(appointment.ctx, finding))
    except Exception as error:  # noqa: BLE001 - what cannot be mended is still found, and told
        return f"{finding.subject}: cannot be mended: {error}"
    return f"{finding.subject}: {said}" if said else ""


def _within(limit_s: float, work: Callable[[], T]) -> T:
    """The result of *work*; a thread that does not come back is left behind.

    Raises:
        _TooLong: it did not.
        Exception: whatever *work* raised.
    """
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failed:
        raise failed[0]
    if not done:
        raise _TooLong
    return done[0]
