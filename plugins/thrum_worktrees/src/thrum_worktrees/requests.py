"""Parameters and results of the methods ``worktrees.*``. Source: spec/features.md §6, §13."""

from __future__ import annotations

import msgspec

from thrum_worktrees.creating import Made
from thrum_worktrees.tearing_down import Gone


class CreateParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A worktree that is to be there; it is the answer, too, when it is there already.

    Attributes:
        name: its name; with *job* it is made of agent, job and time.
        branch: what is checked out; usually ``feature/<name>``.
        base: what a new branch begins at; usually what is checked out in the main worktree.
        detach: no branch.
        agent, role, module, intent, runtime: who is to live there; all empty: nobody yet.
        force: take the agent's name over from elsewhere, or change its role and module.
        job: makes it ephemeral: of *agent*, which is not registered there, for this job.
    """

    name: str = ""
    branch: str = ""
    base: str = ""
    detach: bool = False
    agent: str = ""
    role: str = ""
    module: str = ""
    intent: str = ""
    runtime: str = ""
    force: bool = False
    job: str = ""
    caller_agent_id: str = ""


class Created(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A worktree that is there.

    ``base`` is what a new branch begins at; ``reused``: it was there already. ``session`` is the tmux session of
    ``agent``; empty: start its runtime in the worktree yourself. ``is_running``: it runs already.
    """

    name: str
    worktree_path: str
    branch: str
    base: str = ""
    reused: bool = False
    agent: str = ""
    session: str = ""
    is_running: bool = False
    notes: list[str] = []


class DestroyParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A worktree that is to go.

    Attributes:
        name: its name.
        delete_branch: its branch goes, too.
        keep_agent: its agents stay registered.
        force: also when something would be lost.
    """

    name: str
    delete_branch: bool = False
    keep_agent: bool = False
    force: bool = False
    caller_agent_id: str = ""


class Lost(msgspec.Struct, kw_only=True):
    """Something that was thrown away: paths, or commits."""

    kind: str
    what: str
    items: list[str]


class Destroyed(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A worktree that is gone, and what went with it."""

    name: str
    worktree_path: str
    removed_identities: list[str]
    deleted_branch: str = ""
    thrown_away: list[Lost] = []
    notes: list[str] = []


class SetupParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A worktree of the repository that is there, by its root.

    Attributes:
        runtime: whose hooks belong into it; empty: the project's.
    """

    path: str
    runtime: str = ""
    caller_agent_id: str = ""


class SetUp(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A worktree that shares what it should."""

    worktree: str
    thrum: str
    notes: list[str] = []


class NoParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


def created(name: str, made: Made) -> Created:
    """A creation as its answer."""
    return Created(
        name=name,
        worktree_path=str(made.path),
        branch=made.branch,
        base=made.base,
        reused=made.reused,
        agent=made.agent,
        session=made.session,
        is_running=made.is_running,
        notes=list(made.notes),
    )


def destroyed(gone: Gone) -> Destroyed:
    """A teardown as its answer."""
    return Destroyed(
        name=gone.name,
        worktree_path=str(gone.path),
        removed_identities=list(gone.agents),
        deleted_branch=gone.deleted_branch,
        thrown_away=[Lost(kind=each.kind, what=each.what, items=list(each.items)) for each in gone.lost],
        notes=list(gone.notes),
    )
