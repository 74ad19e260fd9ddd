"""A new agent's name must stay apart from the roles, and its role from the names, that are in use.

A name is an address: were ``tester`` both an agent and a role, ``@tester`` would mean two things. What one name may
look like is `identity.model`'s matter. Source: spec/kernel.md §4.4 (``agent.register``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from thrum_kernel.errors import InvalidName


class Named(Protocol):
    """What of a registered agent matters here."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


def check_apart(name: str, role: str, others: Iterable[Named]) -> None:
    """Whether a new agent stays apart from the *others*.

    Raises:
        InvalidName: the name is the role of another agent, or the role is another agent's name.
    """
    for other in others:
        if other.role == name:
            raise InvalidName(
                f'agent name "{name}" is already in use as a role (of @{other.name})',
                hint=f"@{name} addresses everyone with that role: choose another name",
            )
        if other.name == role:
            raise InvalidName(
                f'role "{role}" is already the name of an agent',
                hint=f"@{role} addresses that agent: choose another role",
            )
