"""What is registered where: the frozen picture against which a caller is judged.

`scan` makes it from the identity files of the given worktrees; whoever keeps it makes a new one when a registration
or a file changes, so that judging a caller opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from thrum_kernel.errors import FileDamaged
from thrum_kernel.identity import files
from thrum_kernel.identity.facts import Inode
from thrum_kernel.identity.model import Identity


@dataclass(frozen=True, slots=True)
class Worktree:
    """A worktree with agents registered in it.

    Attributes:
        path: its root.
        names: their names, sorted.
    """

    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class World:
    """Everything registered with this daemon.

    Attributes:
        worktrees: by device and inode of their root.
        runtimes: the agent that a process acts as, by its id and start time.
        names: every agent registered here, also those without a worktree.
    """

    worktrees: Mapping[Inode, Worktree] = field(default_factory=dict)
    runtimes: Mapping[tuple[int, int], str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()

    def places_of(self, name: str) -> tuple[Path, ...]:
        """The worktrees that an agent is registered in."""
        return tuple(sorted(place.path for place in self.worktrees.values() if name in place.names))


@dataclass(frozen=True, slots=True)
class Scanned:
    """What `scan` found.

    Attributes:
        world: what is registered.
        identities: every readable identity with the worktree whose folder holds it.
        problems: files that could not be used.
    """

    world: World
    identities: tuple[tuple[Path, Identity], ...]
    problems: tuple[FileDamaged, ...]


def scan(worktrees: Iterable[Path], *, names: Iterable[str] = ()) -> Scanned:
    """Read the identity files of *worktrees* (those that no longer exist are passed over).

    Args:
        worktrees: roots; their identities lie in ``.thrum/identities``.
        names: further agents registered here.
    """
    identities: list[tuple[Path, Identity]] = []
    problems: list[FileDamaged] = []
    for root in worktrees:
        found = files.read_all(root / ".thrum" / "identities")
        identities += [(root, identity) for identity in found.identities]
        problems += found.problems
    return Scanned(build(identities, names=names), tuple(identities), tuple(problems))


def build(identities: Iterable[tuple[Path, Identity]], *, names: Iterable[str] = ()) -> World:
    """The world of these identities, each with the root of its worktree; the order makes no difference.

    Where two agents name the same process, neither owns it: it proves nothing.
    """
    places: dict[Inode, tuple[Path, set[str]]] = {}
    owners: dict[tuple[int, int], set[str]] = {}
    known = set(names)
    for root, identity in identities:
        known.add(identity.name)
        inode = _inode(root)
        if inode is not None:
            path, here = places.setdefault(inode, (root, set()))
            here.add(identity.name)
            places[inode] = min(path, root), here
        if identity.agent_pid > 0 and identity.agent_pid_start > 0:
            owners.setdefault((identity.agent_pid, identity.agent_pid_start), set()).add(identity.name)
    return World(
        worktrees={inode: Worktree(path, tuple(sorted(here))) for inode, (path, here) in places.items()},
        runtimes={process: min(agents) for process, agents in owners.items() if len(agents) == 1},
        names=frozenset(known),
    )


def _inode(root: Path) -> Inode | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
