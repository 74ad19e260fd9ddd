"""Groups and their members.

Two clones may make a group of the same name at the same time: both stay, and count as one group with the members of
both, under the one made first.
"""

from __future__ import annotations

from dataclasses import dataclass

from thrum_kernel.projection.db import Cache


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group. ``description`` is empty when it has none."""

    id: int
    group_id: str
    name: str
    description: str
    created_us: int
    created_by: str
    updated_us: int | None


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of a group: ``type`` is ``agent`` or ``role``; the role ``*`` is every role."""

    type: str
    value: str
    added_us: int
    added_by: str


_LIVE = "g.created_us IS NOT NULL AND g.deleted_us IS NULL"
_GROUP = "SELECT g.id, g.group_id, g.name, g.description, g.created_us, g.created_by, g.updated_us FROM grp g"


def groups(cache: Cache) -> list[GroupRow]:
    """Every group, by name; of several with one name the one made first."""
    first: dict[str, GroupRow] = {}
    for row in cache.read(f"{_GROUP} WHERE {_LIVE} ORDER BY g.name, g.created_ulid"):
        group = GroupRow(*row)
        first.setdefault(group.name, group)
    return list(first.values())


def group_named(cache: Cache, name: str) -> GroupRow | None:
    """The group of that name, the one made first where there are several; None when there is none."""
    found = groups_named(cache, name)
    return found[0] if found else None


def groups_named(cache: Cache, name: str) -> list[GroupRow]:
    """Every group of that name, first made first: deleting a group means deleting all of them."""
    rows = cache.read(f"{_GROUP} WHERE {_LIVE} AND g.name = ? ORDER BY g.created_ulid", (name,))
    return [GroupRow(*row) for row in rows]


def group_members(cache: Cache, name: str) -> list[MemberRow]:
    """The members of all groups of that name, by type and value, each once."""
    rows = cache.read(
        "SELECT x.member_type, x.member_value, min(x.changed_us), min(x.changed_by) FROM group_member x"
        f" JOIN grp g ON g.id = x.grp WHERE g.name = ? AND {_LIVE} AND x.present = 1"
        " GROUP BY x.member_type, x.member_value ORDER BY x.member_type, x.member_value",
        (name,),
    )
    return [MemberRow(*row) for row in rows]


def groups_of(cache: Cache, name: str, role: str) -> list[str]:
    """Names of the groups that an agent of this name and role belongs to, sorted."""
    rows = cache.read(
        f"SELECT DISTINCT g.name FROM group_member x JOIN grp g ON g.id = x.grp WHERE {_LIVE} AND x.present = 1"
        " AND (x.member_type = 'agent' AND x.member_value = ? OR x.member_type = 'role' AND x.member_value IN (?, '*'))"
        " ORDER BY g.name",
        (name, role),
    )
    return [row[0] for row in rows]
