"""What the commands of plugins may use beside `thrum_kernel.api`; apart from it, for it needs more of the kernel.

A command is a function named by `api.PluginCommand.target`::

    import typer
    from thrum_kernel.api_commands import run_of

    def show(ctx: typer.Context, name: str) -> None:
        \"\"\"Show one.\"\"\"
        run = run_of(ctx)
        found = run.call("example.show", name=name)
        run.out.json(found)
        run.out.line(found["text"])

It is imported when it first runs, never prints, and never looks at ``sys`` or ``os.environ``: `Run` has what was
typed (``inv``), the daemon (``call``), the caller's input (``stdin``, ``file``) and where to write (``out``).
"""

from __future__ import annotations

from thrum_kernel.cli.command import Outcome, Pending, Run, refuse_together, run_of
from thrum_kernel.cli.output import Output

__all__ = ["Outcome", "Output", "Pending", "Run", "refuse_together", "run_of"]
