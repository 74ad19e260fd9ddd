"""What ``thrum prime`` tells an agent of monitors: those that send to it, and those that it started."""

from __future__ import annotations

from thrum_kernel.api import AgentInfo, PrimeSection
from thrum_monitor import wording
from thrum_monitor.store import Monitor

ORDER = 450
"""After the inbox, where their alarms are."""


def section(agent: AgentInfo, monitors: list[Monitor]) -> list[PrimeSection]:
    """The section; none where no monitor concerns the agent."""
    concerned = [
        each for each in monitors if each.target == f"@{agent.name}" or each.created_by == agent.name
    ]
    if not concerned:
        return []
    lines = [f"Monitors: {len(concerned)} (what they print: thrum monitor logs NAME)", *map(_line, concerned)]
    data = [{"name": each.name, "status": each.status, "target": each.target} for each in concerned]
    return [PrimeSection(key="monitors", order=ORDER, text="\n".join(lines), data=data)]


def _line(monitor: Monitor) -> str:
    told = f"  {monitor.name} → {monitor.target}: {monitor.status}, {wording.command(monitor.argv)}"
    return f"{told} (thrum monitor restart {monitor.name})" if monitor.status == "dead" else told
