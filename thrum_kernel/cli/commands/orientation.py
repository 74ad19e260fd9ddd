"""``status``, ``overview`` and ``version``: where one stands, at a glance."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import typer

import thrum_kernel
from thrum_kernel.cli.command import Group, Run, command, run_of
from thrum_kernel.cli.commands.view import show, view_of
from thrum_kernel.cli.texts.daemon import overview_lines, status_lines
from thrum_kernel.errors import IdentityError, IdentityMissing, Refused

DISTRIBUTION = "thrum"
BUILD = "python"
_NAMES = {"Homepage": "website_url", "Repository": "repo_url"}


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "status")(status)
    command(root, "overview")(overview)
    command(root, "version", offline=True)(version)


def status(ctx: typer.Context) -> None:
    """Show who you are here, your session, the daemon, and how much mail is unread."""
    run = run_of(ctx)
    health = run.call("health")
    me, nobody = _me(run)
    value: dict[str, Any] = {
        "agent": me,
        "session": None,
        "daemon": {"running": True, "version": health["version"]},
    }
    if me is not None:
        value["session"] = _session(run, me)
        value["unread"] = _mail(run)["unread"]
    show(run, value, status_lines(value, view_of(run), nobody))


def overview(ctx: typer.Context) -> None:
    """Show identity, work, team, mail and the daemon together."""
    run = run_of(ctx)
    value: dict[str, Any] = {"health": run.call("health")}
    me, nobody = _me(run)
    if me is not None:
        value["agent"] = me
        contexts = run.call("agent.listContext", agent_id=me["agent_id"])["contexts"]
        if contexts:
            value["work_context"] = contexts[0]
    value["team"] = run.call("team.list", include_offline=True)
    if me is not None:
        value["inbox"] = _mail(run)
    port = run.call("daemon.status").get("ws_port")
    if port:
        value["websocket_port"] = port
    show(run, value, overview_lines(value, view_of(run), nobody))


def version(ctx: typer.Context) -> None:
    """Show the version of thrum."""
    run = run_of(ctx)
    value = version_facts()
    lines = [
        f"thrum {value['version']} (build {value['build']}, Python {value['python_version']})",
        *(value[key] for key in ("repo_url", "website_url") if value[key]),
    ]
    show(run, value, lines)


def version_facts() -> dict[str, str]:
    """Version, build, Python and addresses, from the package's metadata."""
    facts = {"version": thrum_kernel.__version__, "build": BUILD}
    facts |= {"python_version": platform.python_version(), "repo_url": "", "website_url": ""}
    try:
        found = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return facts
    for entry in found.get_all("Project-URL") or ():
        label, _, address = entry.partition(", ")
        if label in _NAMES:
            facts[_NAMES[label]] = address
    return facts | {"version": found["Version"]}


def _me(run: Run) -> tuple[dict[str, Any] | None, str]:
    """The caller; None where nobody is registered or several are, and then what there is to say of it."""
    try:
        return run.call("agent.whoami"), ""
    except IdentityMissing:
        return None, ""
    except (IdentityError, Refused) as error:
        if "identity guard" in str(error):
            raise
        return None, "\n".join(filter(None, (str(error), error.hint and f"Hint: {error.hint}")))


def _session(run: Run, me: dict[str, Any]) -> dict[str, Any] | None:
    if not me.get("session_id"):
        return None
    contexts = run.call("agent.listContext", agent_id=me["agent_id"])["contexts"]
    context: dict[str, Any] = next((each for each in contexts if each["session_id"] == me["session_id"]), {})
    return {
        "session_id": me["session_id"],
        "started_at": me.get("session_start", ""),
        "intent": me.get("intent") or context.get("intent") or "",
        "task": context.get("current_task") or "",
    }


def _mail(run: Run) -> dict[str, int]:
    page = run.call("message.list", exclude_self=True, mine=True, page_size=1)
    return {"total": page["total"], "unread": page["unread"]}
