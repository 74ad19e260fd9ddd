"""Delivery states: how far a message has come with each of its recipients.

The states climb ``stored → injected → seen → read → answered``; ``failed`` stands beside them with its reason.
Source: DESIGN.md D8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thrum_kernel.cli.render import View, at, columns

Recipient = Mapping[str, Any]


def state_of(recipient: Recipient) -> str:
    """The state of one delivery: as told, else the highest that its times prove."""
    if recipient.get("state"):
        return str(recipient["state"])
    if recipient.get("read_at"):
        return "read"
    return "seen" if recipient.get("seen_at") else "stored"


def is_read(recipient: Recipient) -> bool:
    """Whether the recipient has taken notice of the text."""
    return bool(recipient.get("read_at")) or state_of(recipient) in ("read", "answered")


def delivery_lines(recipients: Sequence[Recipient], view: View, *, indent: str) -> list[str]:
    """A line for each recipient: name, state, since when, why it failed; the whole way when verbose."""
    return columns([_row(recipient, view) for recipient in recipients], indent=indent)


def _row(recipient: Recipient, view: View) -> list[str]:
    row = [at(str(recipient["agent_id"])), state_of(recipient), view.time(_since(recipient))]
    if view.verbose:
        return [*row, _way(recipient, view)]
    reason = str(_step(recipient).get("reason") or "")
    return [*row, reason]


def _since(recipient: Recipient) -> str:
    step = _step(recipient)
    if step.get("at"):
        return str(step["at"])
    return str(recipient.get(f"{state_of(recipient)}_at") or recipient.get("delivered_at") or "")


def _step(recipient: Recipient) -> Mapping[str, Any]:
    """The latest step that led to the state shown; empty when steps are not told."""
    state = state_of(recipient)
    found: Mapping[str, Any] = {}
    for step in recipient.get("states") or ():
        if step["state"] == state:
            found = step
    return found


def _way(recipient: Recipient, view: View) -> str:
    parts = [f"addressed by {recipient['via']}"] if recipient.get("via") else []
    for step in recipient.get("states") or ():
        text = f"{step['state']} {view.time(str(step['at']))}"
        text += f" by {step['means']}" if step.get("means") else ""
        parts.append(text + (f": {step['reason']}" if step.get("reason") else ""))
    return "; ".join(parts)
