"""``quickstart``: register, begin a session and say what for, in one step; sets thrum up first where it is not."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from thrum_kernel import paths
from thrum_kernel.cli.arguments import bare_name, given
from thrum_kernel.cli.command import Group, Run, command, run_of
from thrum_kernel.cli.commands import initializing
from thrum_kernel.cli.commands.agents import CONFLICT, Display, registered_lines, registration
from thrum_kernel.cli.commands.init_steps import planned
from thrum_kernel.cli.commands.ready import until_ready
from thrum_kernel.cli.commands.runtime_files import write_runtime_files
from thrum_kernel.cli.commands.view import show
from thrum_kernel.cli.lifecycle import Lifecycle
from thrum_kernel.cli.setup import Setup, Wishes, describe, line_of
from thrum_kernel.errors import DaemonNotRunning, IdentityAmbiguous, NotInitialized, UsageError
from thrum_kernel.identity.model import check_agent
from thrum_kernel.paths import Paths

_RUNTIME_NAME = re.compile(r"[A-Za-z0-9_-]+")


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "quickstart", local=True, offline=True)(quickstart)


def quickstart(
    ctx: typer.Context,
    positional: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The agent's name.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The same as a flag.")] = None,
    display: Display = None,
    intent: Annotated[
        str | None, typer.Option("--intent", metavar="TEXT", help="What you are about to do.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", metavar="NAME", help="The runtime you prefer.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")] = False,
    no_init: Annotated[
        bool, typer.Option("--no-init", help="Do not set thrum up, nor write files for a runtime.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take the name over, or change role and module.")
    ] = False,
    preamble_file: Annotated[
        str | None, typer.Option("--preamble-file", metavar="PATH", help="The agent's preamble.")
    ] = None,
    no_agent_pid: Annotated[
        bool, typer.Option("--no-agent-pid", help="Do not tie the agent to the runtime above you.")
    ] = False,
) -> int:
    """Register an agent for this worktree, begin a session, and say what for."""
    run = run_of(ctx)
    if positional and name and bare_name(positional) != bare_name(name):
        raise UsageError("NAME and --name are mutually exclusive")
    if runtime is not None and not _RUNTIME_NAME.fullmatch(runtime):
        raise UsageError(f'invalid runtime name "{runtime}"')
    preamble = run.file(preamble_file) if preamble_file else b""
    where = paths.plan(
        run.inv.cwd, repo=run.inv.repo or None, env=run.inv.env, without_git=_is_initialized(run)
    )
    more: dict[str, Any] = {"display": display, "force": force, "runtime": runtime, "intent": intent}
    if no_agent_pid:
        more["agent_pid"] = 0
    if dry_run:
        _preview(run, where, no_init=no_init, more=more, name=positional or name)
        return 0
    if _setup(run, where).needs_project:
        registration(
            run, positional or name, more, is_new=True
        )  # wrong words must not leave half a set-up behind
    _have_daemon(run, where, no_init=no_init)
    done = run.call("agent.register", **_parameters(run, positional or name, more))
    if done["status"] == "conflict":
        show(run, {"register": done}, registered_lines(done))
        return CONFLICT
    value, lines = _begin(run, done, intent)
    _write_overlay(where, done["agent_id"])
    if preamble:
        _save_preamble(run, done["agent_id"], preamble)
        lines.append(f"✓ Preamble saved for {done['agent_id']}")
    if runtime:
        value["runtime"] = runtime
        files = None if no_init else write_runtime_files(run, where, runtime, name=done["agent_id"])
        if files is not None:
            value["runtime_init"] = files
            lines.append(f"✓ Files for {runtime}: {_counted(files['files'])}")
    show(run, value, lines)
    return 0


def _save_preamble(run: Run, name: str, preamble: bytes) -> None:
    """As whoever calls; where another identity is beside the new one, as the agent that was just registered."""
    params = {"agent_name": name, "content": base64.b64encode(preamble).decode()}
    try:
        run.call("context.preamble.save", **params)
    except IdentityAmbiguous:
        run.call("context.preamble.save", **params, caller_agent_id=name)


def _counted(files: list[dict[str, Any]]) -> str:
    """How many files were written, and how many were left as they are."""
    kept = sum(file["action"] in ("skip", "noop") for file in files)
    return f"{len(files) - kept} written, {kept} kept"


def _parameters(run: Run, name: str | None, more: dict[str, Any]) -> dict[str, Any]:
    params = registration(run, name, more)
    return params | ({"agent_pid": 0} if more.get("agent_pid") == 0 else {})


def _begin(run: Run, done: dict[str, Any], intent: str | None) -> tuple[dict[str, Any], list[str]]:
    """A session for the registered agent, the one it has or a new one, and its intent."""
    value: dict[str, Any] = {"register": done}
    lines = registered_lines(done)
    if done.get("session_id"):
        value["session"] = {"session_id": done["session_id"], "agent_id": done["agent_id"]}
        verb = "resumed" if done.get("session_resumed") else "started"
    else:
        value["session"] = run.call("session.start", agent_id=done["agent_id"])
        verb = "started"
    session = value["session"]["session_id"]
    lines.append(f"✓ Session {verb}: {session}")
    if intent is not None:
        value["intent"] = done.get("intent") or run.call(
            "session.setIntent", session_id=session, intent=intent
        )
        lines.append(f"✓ Intent set: {intent}" if intent else "✓ Intent cleared")
    return value, lines


def _setup(run: Run, where: Paths) -> Setup:
    return Setup(where, home=Path(run.inv.env.get("HOME", "/")), branch="")


def _have_daemon(run: Run, where: Paths, *, no_init: bool) -> None:
    """Set thrum up where it is not, let a linked worktree share it, and have the daemon run."""
    setup = _setup(run, where)
    if setup.needs_project or setup.needs_redirect:
        if no_init and setup.needs_project:
            raise NotInitialized(where.repo)
        if where.stopped.exists():
            raise DaemonNotRunning(stopped=True)
        initializing.initialize(run, where)
        return
    if where.stopped.exists():
        raise DaemonNotRunning(stopped=True)
    Lifecycle(where, run.inv.env).start()
    until_ready(run)


def _write_overlay(where: Paths, agent: str) -> None:
    """An empty file for what people add to this agent's briefing by hand, where there is none."""
    if "/" in agent or "@" in agent:
        return
    where.context.mkdir(parents=True, exist_ok=True, mode=0o750)
    (where.context / f"{agent}.md").touch(mode=0o644)


def _is_initialized(run: Run) -> bool:
    """Whether thrum is used here without git already, so that `plan` need not insist on a repository."""
    try:
        paths.find(run.inv.cwd, repo=run.inv.repo or None, env={**run.inv.env, "THRUM_HOME": ""})
    except NotInitialized:
        return False
    return True


def _preview(run: Run, where: Paths, *, no_init: bool, more: dict[str, Any], name: str | None) -> None:
    setup = _setup(run, where)
    needs_files = (setup.needs_project and not no_init) or setup.needs_redirect
    files = planned(run, where, Wishes()).changes if needs_files else []
    params = given({"name": bare_name(name or ""), "role": run.inv.role, "module": run.inv.module, **more})
    if params.get("name") and params.get("role") and params.get("module"):
        check_agent(params["name"], params["role"], params["module"])
    lines = ["Dry run — nothing done:", *(line_of(change, dry_run=True) for change in files)]
    listed = ", ".join(f"{key} {value}" for key, value in params.items())
    lines += [f"  would register: {listed}", "  would begin a session"]
    show(run, {"dry_run": True, "register": params, "files": [describe(change) for change in files]}, lines)
