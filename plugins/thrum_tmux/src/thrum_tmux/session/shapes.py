"""Parameters and results of the methods ``tmux.*``. Source: spec/features.md §1.2."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

State = Literal["alive", "stale", "dead"]


class Params(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``caller_agent_id`` is a claim, which the dispatcher has checked."""

    caller_agent_id: str = ""


class CreateParams(Params):
    """Make a session for an agent of a worktree, and register the agent from inside it.

    Attributes:
        name: of the session; empty: the role and the module.
        cwd: absolute path of the worktree.
        agent_name, role, module: who shall live there; all three, or *no_agent*; what is left out is that of the only
            agent there that fits.
        intent: what it means to do.
        runtime: what to launch there later.
        force: end a session of ours that has the name or the worktree.
        no_agent: a bare session, in any folder.
        main: the worktree may be the main checkout.
        quickstart: false: the agent is registered there already.
        made_by: of a plugin: the agent for whom it makes the session; nobody else can say so.
    """

    name: str = ""
    cwd: str = ""
    agent_name: str = ""
    role: str = ""
    module: str = ""
    intent: str = ""
    runtime: str = ""
    force: bool = False
    no_agent: bool = False
    main: bool = False
    quickstart: bool = True
    made_by: str = ""


class CreateResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``identity`` is the agent's identity file; ``replaced`` are identity files that were set aside; ``notes`` tell whose
    sessions were ended for it with *force*."""

    session: str
    identity: dict[str, Any] | None = None
    replaced: list[str] = []
    notes: list[str] = []


class LaunchParams(Params):
    """Start a runtime in a session.

    Attributes:
        name: of the session; one that thrum did not make is kept from now on.
        runtime: empty: the identity's, the caller's, the configured one, ``claude``, the first there is.
        force: also in a session that is another agent's, who is told.
    """

    name: str
    runtime: str = ""
    force: bool = False


class LaunchResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Answered once the command is typed; its output comes later. ``notes`` are what the caller should know."""

    session: str
    runtime: str
    notes: list[str] = []


class StatusParams(Params):
    """Nothing."""


class SessionView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One session.

    ``tmux_session`` is the agent's pane, ``session:window.pane``; ``socket`` that of its server.
    ``state``: ``alive``; ``stale``: its agent's runtime has ended; ``dead``: an identity names it and it is gone.
    """

    name: str
    state: State
    agent: str = ""
    role: str = ""
    module: str = ""
    runtime: str = ""
    branch: str = ""
    tmux_session: str = ""
    socket: str = ""


class StatusResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The sessions of this project, by name; ``trouble``: what keeps them from being heard as they should be."""

    sessions: list[SessionView]
    trouble: list[str] = []


class NameParams(Params):
    """Which session."""

    name: str


class KillParams(NameParams):
    """Which session; *force*: also one that is somebody else's, who is told."""

    force: bool = False


class KillResult(msgspec.Struct, kw_only=True):
    """Whose session was ended all the same, and who was told."""

    notes: list[str]


class SendParams(Params):
    """Type a text and Enter into a session.

    Attributes:
        name: of the session.
        text: typed as it is; several lines are pasted.
        force: also behind a draft, and into another program than the agent's.
        enter: press Enter after it.
    """

    name: str
    text: str
    force: bool = False
    enter: bool = True


class SendResult(msgspec.Struct, kw_only=True):
    """``entered``: Enter was pressed; false also where a dialog took the text without it.

    The others are empty: the text was typed at once, without a queue.
    """

    command_id: str = ""
    position: int = 0
    entered: bool = True


class CaptureParams(Params):
    """The last *lines* rows that a session's pane shows or has shown."""

    name: str
    lines: int = 50


class CaptureResult(msgspec.Struct, kw_only=True):
    """The rows as one text; lines that the pane wrapped are whole."""

    content: str


class CheckParams(Params):
    """Look at a session's pane and act on what it shows.

    Attributes:
        session: which.
        reason: what is known of it already; empty: found out from the content.
        content: what it showed; empty: looked at now.
    """

    session: str
    reason: str = ""
    content: str = ""


class CheckResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``state`` is ``idle``, ``busy``, ``permission``, ``working_but_idle``, ``command_completed`` or ``command_sent``."""

    session: str
    state: str
    reason: str = ""
