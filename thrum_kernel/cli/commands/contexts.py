"""``context save|show|clear|preamble|sync``: what an agent keeps for its next session."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import typer

from thrum_kernel.cli.arguments import decode_text, named
from thrum_kernel.cli.command import Group, Run, command, group, refuse_together, run_of
from thrum_kernel.cli.commands.view import show
from thrum_kernel.errors import UsageError

Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Another agent than you.")]
File = Annotated[str | None, typer.Option("--file", metavar="PATH", help="Read it from a file.")]


def register(root: Group) -> None:
    """Add these commands."""
    contexts = group(root, "context", help="What an agent keeps for its next session")
    command(contexts, "save")(save)
    command(contexts, "show", aliases=("load",))(show_context)
    command(contexts, "clear")(clear)
    command(contexts, "preamble")(preamble)
    command(contexts, "sync")(sync)


def save(ctx: typer.Context, file: File = None, agent: Agent = None) -> None:
    """Save context from a file, or from standard input."""
    run = run_of(ctx)
    content = run.stdin() if file in (None, "-") else run.file(str(file))
    if not content.strip():
        raise UsageError("nothing to save: the context is empty", hint="to remove it: thrum context clear")
    decode_text(content, what="the context")
    name = _agent(run, agent)
    done = run.call("context.save", agent_name=name, content=_encoded(content))
    show(run, done, [f"✓ Context saved for {name} ({len(content)} bytes)"])


def show_context(
    ctx: typer.Context,
    agent: Agent = None,
    raw: Annotated[bool, typer.Option("--raw", help="The saved bytes and nothing else.")] = False,
    no_preamble: Annotated[bool, typer.Option("--no-preamble", help="Without the preamble.")] = False,
    project: Annotated[bool, typer.Option("--project", help="Only the project's state.")] = False,
    session: Annotated[
        bool, typer.Option("--session", help="Only the saved context of the session.")
    ] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="As it was given to other clones, not as it is here.")
    ] = False,
) -> None:
    """Show the saved context, after the preamble; of an agent of another clone (name@daemon), what it shared."""
    run = run_of(ctx)
    refuse_together(project=project, session=session)
    name = _agent(run, agent)
    wants_preamble = not (raw or no_preamble or project or session)
    asked = {"include_preamble": wants_preamble, "include_project": project}
    if shared:
        asked["shared"] = True
    found = run.call("context.show", agent_name=name, **asked)
    run.out.json(_readable(found))
    if run.inv.as_json:
        return
    chosen = "project_state" if project else "content"
    if raw:
        run.out.raw(_bytes(found.get(chosen)))
        return
    _print_parts(run, found, chosen, name)


def clear(ctx: typer.Context, agent: Agent = None) -> None:
    """Remove the saved context."""
    run = run_of(ctx)
    name = _agent(run, agent)
    done = run.call("context.clear", agent_name=name)
    show(run, done, [f"✓ Context cleared for {name}"])


def preamble(
    ctx: typer.Context,
    agent: Agent = None,
    init: Annotated[bool, typer.Option("--init", help="Write the default preamble.")] = False,
    file: File = None,
) -> None:
    """Show the preamble, or replace it."""
    run = run_of(ctx)
    refuse_together(init=init, file=file)
    content = run.file(file) if file else b""
    if file and not content.strip():
        raise UsageError(
            f"nothing to save: {file} is empty", hint="for the default text: thrum context preamble --init"
        )
    decode_text(content, what=str(file))
    name = _agent(run, agent)
    if init or file:
        extra = {"content": _encoded(content)} if content else {}
        done = run.call("context.preamble.save", agent_name=name, **extra)
        show(run, done, [f"✓ Preamble saved for {name}"])
        return
    found = run.call("context.preamble.show", agent_name=name)
    run.out.json({**found, "content": _text(found.get("content")) if found["has_preamble"] else None})
    if not found["has_preamble"]:
        run.out.line(f"No preamble for {name}. Write the default one: thrum context preamble --init")
    for line in _text(found.get("content")).rstrip("\n").split("\n") if found["has_preamble"] else ():
        run.out.line(line)


def sync(
    ctx: typer.Context,
    agent: Agent = None,
    project: Annotated[
        bool, typer.Option("--project", help="The project's state: share it, or take what others shared.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --project: also over what somebody else shared since.")
    ] = False,
) -> None:
    """Share the saved context with the other clones; with nothing saved any more, take back what was shared."""
    run = run_of(ctx)
    if force and not project:
        raise UsageError("--force goes with --project")
    name = _agent(run, agent)
    wishes = {key: True for key, wanted in (("project", project), ("force", force)) if wanted}
    done = run.call("context.sync", agent_name=name, **wishes)
    show(run, done, [str(done["message"])])


def _agent(run: Run, given: str | None) -> str:
    return named(given, flag="--agent") or str(run.call("agent.whoami")["agent_id"])


def _print_parts(run: Run, found: dict[str, Any], chosen: str, name: str) -> None:
    parts = [_text(found.get("preamble")), _text(found.get(chosen))]
    text = "\n---\n\n".join(part.strip("\n") + "\n" for part in parts if part.strip())
    if not _text(found.get(chosen)).strip():
        what = "project state" if chosen == "project_state" else f"context for {name}"
        run.out.note(f"No saved {what}.")
    if text:
        run.out.line(text.rstrip("\n"))


def _readable(found: dict[str, Any]) -> dict[str, Any]:
    """The answer with its texts as text: base64 is for the wire."""
    texts = {
        key: _text(found[key])
        for key in ("preamble", "content", "overlay", "project_state")
        if found.get(key)
    }
    return {**found, **texts}


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text) if text else b""


def _text(text: str | None) -> str:
    return _bytes(text).decode(errors="replace")
