"""The kernel's own checks: the machine, the project, identities, the log."""

from __future__ import annotations

from thrum_kernel.api import Check
from thrum_kernel.briefing.checkups import earlier, log, machine, people, project, travel

KERNEL: tuple[Check, ...] = (
    *machine.CHECKS,
    *project.CHECKS,
    *people.CHECKS,
    *log.CHECKS,
    *travel.CHECKS,
    *earlier.CHECKS,
)
"""In the order shown."""
