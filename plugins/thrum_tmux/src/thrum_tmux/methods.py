"""The methods ``tmux.*``."""

from __future__ import annotations

from collections.abc import Sequence

from thrum_kernel.api import Method, PluginContext
from thrum_tmux.restart.restarting import Restarting
from thrum_tmux.restart.shapes import RestartParams, RestartResult
from thrum_tmux.session import shapes
from thrum_tmux.session.checking import Checking
from thrum_tmux.session.creating import Creating
from thrum_tmux.session.launching import Launching
from thrum_tmux.session.sending import Sending
from thrum_tmux.session.statuses import Statuses


def methods(ctx: PluginContext) -> Sequence[Method]:
    """All of them."""
    sending = Sending(ctx)
    return (
        Method(
            name="tmux.create",
            params=shapes.CreateParams,
            result=shapes.CreateResult,
            handler=Creating(ctx).create,
            summary="Make a session for an agent of a worktree, or a bare one",
            mutates=True,
            anonymous=True,
            long_poll=True,
        ),
        Method(
            name="tmux.launch",
            params=shapes.LaunchParams,
            result=shapes.LaunchResult,
            handler=ctx.shared(Launching).launch,
            summary="Start a runtime in a session",
            mutates=True,
            anonymous=True,
            long_poll=True,
        ),
        Method(
            name="tmux.restart",
            params=RestartParams,
            result=RestartResult,
            handler=ctx.shared(Restarting).restart,
            summary="Begin a session's runtime anew, and tell it what it was doing",
            mutates=True,
            anonymous=True,
            long_poll=True,
            resumes=True,
        ),
        Method(
            name="tmux.status",
            params=shapes.StatusParams,
            result=shapes.StatusResult,
            handler=ctx.shared(Statuses).status,
            summary="The sessions of this project's agents",
            anonymous=True,
        ),
        Method(
            name="tmux.kill",
            params=shapes.KillParams,
            result=shapes.KillResult | None,
            handler=sending.kill,
            summary="End a session and what runs in it",
            mutates=True,
            anonymous=True,
        ),
        Method(
            name="tmux.send",
            params=shapes.SendParams,
            result=shapes.SendResult,
            handler=sending.send,
            summary="Type a text and Enter into a session",
            mutates=True,
            anonymous=True,
            long_poll=True,  # whoever types there now is waited for
        ),
        Method(
            name="tmux.capture",
            params=shapes.CaptureParams,
            result=shapes.CaptureResult,
            handler=sending.capture,
            summary="What a session's pane shows",
            anonymous=True,
        ),
        Method(
            name="tmux.check-pane",
            params=shapes.CheckParams,
            result=shapes.CheckResult,
            handler=Checking(ctx).check,
            summary="Look at a session's pane and act on what it shows",
            anonymous=True,
        ),
    )
