"""Who may end what is somebody's, or begin it anew: the one rule for worktrees, sessions and restarts. Pure.

The project belongs to people, so they may do everything. An agent has what it lives in and what it made. Supervisors look
after all agents. Everybody else is refused, and with force is let through and told on: agents of one machine cannot be kept
from each other by force, but they can be kept from harming each other by mistake, or unseen.

Source: DESIGN.md "We never harm the person or the agent's work", D5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from thrum_kernel.api import Authority, Belonging, Caller
from thrum_kernel.errors import NotYours


def judge(
    caller: Caller, thing: Belonging, *, supervisors: Callable[[], Collection[str]], force: bool
) -> Authority:
    """Why *caller* may end *thing*, or begin it anew.

    Args:
        supervisors: names of those who look after all agents; asked only where it matters.
        force: without a reason, too; somebody must be told then.

    Raises:
        NotYours: it may not; whoever is no agent here may not with *force* either.
    """
    if caller.kind == "kernel":
        return Authority(reason="kernel")
    if caller.is_person:
        return Authority(reason="person")
    if caller.kind == "anonymous":
        if caller.worktree is not None and caller.worktree == thing.worktree:
            return Authority(reason="own")  # a runtime acts for the worktree that it stands in
        raise NotYours(thing.what, owners=thing.owners, worktree=str(thing.worktree or ""))
    if caller.agent_id in thing.owners:
        return Authority(reason="own")
    if caller.agent_id == thing.made_by:
        return Authority(reason="made")
    looking_after = set(supervisors())
    if caller.agent_id in looking_after:
        return Authority(reason="supervisor")
    if not force:
        raise NotYours(
            thing.what,
            caller=caller.agent_id,
            owners=thing.owners,
            made_by=thing.made_by,
            supervisors=sorted(looking_after),
        )
    told = {*thing.owners, *looking_after} | ({thing.made_by} if thing.made_by else set())
    return Authority(reason="forced", tell=tuple(sorted(told)))
