"""What ``prime`` shows of a restart snapshot.

At its head a directive, so that it is read even where the rest is cut; the snapshot itself in its place.

Source: spec/features.md §12.2; spec/decisions.md "init, prime…".
"""

from __future__ import annotations

from thrum_kernel.api import AgentInfo, PluginContext, PrimeSection
from thrum_kernel.errors import FileDamaged
from thrum_tmux.restart.snapshot import header
from thrum_tmux.restart.store import Kept, Snapshots
from thrum_tmux.restart.subject import subject

FIRST = 50
"""Before the kernel's first section."""
AT = 1000

_DIRECTIVE = """\
ACTION REQUIRED: your session was restarted ({reason}, saved {saved}). What you were doing stands below under
"# Previous Session Context". Read it before anything else, then go on from there: do not start over, and do not ask
what to do while a resume plan or an unanswered request stands there."""

_PREFACE = "This is what you were doing in the session before this one. Go on from here."


async def sections(ctx: PluginContext, agent: AgentInfo) -> list[PrimeSection]:
    """The sections about the snapshot that waits for *agent*; none when none does.

    That it is shown to a session of the agent's runtime is noted: see `store.Snapshots.show_to`.
    """
    session = await live_session(ctx, agent)
    try:
        kept = await ctx.in_thread(Snapshots(agent.thrum).show_to, agent.name, session)
    except FileDamaged as problem:
        text = f"# Previous Session Context\n\nThe restart snapshot cannot be shown: {problem}"
        return [PrimeSection(key="restart_snapshot", order=AT, text=text)]
    return [] if kept is None else _shown(kept)


async def live_session(ctx: PluginContext, agent: AgentInfo) -> str:
    """What tells the session of the agent's living runtime apart; empty when none lives."""
    who = await ctx.in_thread(subject, agent.name, agent.worktree)
    found = ctx.process(who.pid) if who.pid else None
    return who.session if found is not None and who.started in (0, found.start_time) else ""


def _shown(kept: Kept) -> list[PrimeSection]:
    head = header(kept.text)
    directive = _DIRECTIVE.format(reason=head.reason or "restart", saved=head.saved or "earlier")
    text = f"# Previous Session Context\n\n{_PREFACE}\n\n{kept.text.strip()}"
    return [
        PrimeSection(key="restart_directive", order=FIRST, text=directive, data=directive),
        PrimeSection(key="restart_snapshot", order=AT, text=text, data=kept.text),
    ]
