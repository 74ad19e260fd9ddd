"""``roles list | deploy | refresh | save-config | templates print``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from thrum_kernel.api_commands import Run, run_of
from thrum_kernel.errors import DaemonError, MethodNotFound, UsageError
from thrum_roles.agents import residents
from thrum_roles.listing import listing
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.settings import stored
from thrum_roles.shipped import catalogue

_ORIGINS: Final = {"edited": "changed by hand", "own": "your own text"}


def list_roles(ctx: typer.Context) -> None:
    """List the role templates of this repository and the agents they are for."""
    run = run_of(ctx)
    found = _listed(run)
    run.out.json(found)
    if not found["templates"]:
        run.out.line("No role templates found in .thrum/role_templates/")
        return
    run.out.line("Role templates in .thrum/role_templates/:")
    width = max(len(template["role"]) for template in found["templates"])
    for template in found["templates"]:
        agents = ", ".join(f"@{name}" for name in template["agents"]) or "no agents"
        run.out.line(f"  {template['role']:<{width}}  {_form(template)}  {agents}")
    for agent in found["without_template"]:
        run.out.line(f"  @{agent['agent_id']}: no template for {agent['role']}")


def deploy(
    ctx: typer.Context,
    agent: Annotated[str, typer.Option("--agent", metavar="NAME", help="Only this agent.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, write nothing.")
    ] = False,
) -> None:
    """Write the preambles of this machine's agents anew from their role templates."""
    run = run_of(ctx)
    done = run.call("roles.deploy", agent=agent, dry_run=dry_run)
    run.out.json(done)
    for each in done["agents"]:
        if each.get("text"):
            run.out.line(each["text"])
        run.out.line(_deployed(each))
    if dry_run:
        run.out.line("Dry run — no files written")
    elif agent:
        run.out.line(f"Deployed preamble for {agent.removeprefix('@')}")
    else:
        run.out.line(f"Updated {done['updated']}/{done['total']} agents")


def refresh(ctx: typer.Context) -> None:
    """Write the role templates anew from the saved answers; what was changed by hand is moved aside."""
    run = run_of(ctx)
    done = run.call("roles.refresh")
    run.out.json(done)
    for template in done["templates"]:
        run.out.line(_refreshed(template))
    if any(template["action"] == "written" for template in done["templates"]):
        run.out.line("Next: thrum roles deploy")


def save_config(ctx: typer.Context) -> None:
    """Save the answers about roles: the JSON object on standard input becomes role_config in config.json."""
    run = run_of(ctx)
    done = run.call("roles.save-config", config=_object(run.stdin()))
    run.out.json(done)
    count = len(done["role_config"]["roles"])
    run.out.line(f"✓ Role configuration saved for {count} role{'' if count == 1 else 's'}")
    run.out.line("Next: thrum roles refresh")


def print_template(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ROLE-AUTONOMY", help="For example implementer-strict.")],
) -> None:
    """Print a template that comes with thrum, without its front matter."""
    run = run_of(ctx)
    template = catalogue().named(name)
    run.out.json(
        {
            "name": template.name,
            "role": template.role,
            "autonomy": template.autonomy,
            "schema_version": template.schema_version,
            "body_hash": template.hash,
            "body": template.body,
        }
    )
    for line in template.body.rstrip("\n").split("\n"):
        run.out.line(line)


def _listed(run: Run) -> dict[str, Any]:
    """The daemon's listing; without one what the files tell."""
    try:
        found: dict[str, Any] = run.call("roles.list")
        return found
    except (DaemonError, MethodNotFound):
        config = Path(run.call("config.show")["config_file"])
    thrum = config.parent
    here = listing(
        RepositoryTemplates(thrum), stored(_document(config)), residents(thrum.parent), catalogue()
    )
    plain: dict[str, Any] = msgspec.to_builtins(here)
    return plain


def _document(config: Path) -> dict[str, Any]:
    """config.json; empty when it cannot be read, which other commands complain about."""
    try:
        value = json.loads(config.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise UsageError(f"standard input is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError("standard input is no JSON object")
    inner = value.get("role_config")
    return inner if set(value) == {"role_config"} and isinstance(inner, dict) else value


def _form(template: dict[str, Any]) -> str:
    if template["origin"] == "damaged":
        return f"damaged: {template['error']};"
    words = [template.get("autonomy", ""), _ORIGINS.get(template["origin"], "")]
    if template.get("scope"):
        words.append(f"scope {template['scope']}")
    return f"({', '.join(filter(None, words)) or 'shipped'})"


def _deployed(agent: dict[str, Any]) -> str:
    if agent["outcome"] == "no template":
        return f"  @{agent['agent_id']}: no template for {agent['role']}, left as it is"
    verb = "would write" if agent["outcome"] == "would update" else "✓"
    return f"  {verb} {agent['path']} ({agent['role']})"


def _refreshed(template: dict[str, Any]) -> str:
    said = {
        "written": f"✓ {template['role']}: written from {template.get('template', '')}",
        "unchanged": f"  {template['role']}: up to date",
        "adopted": f"✓ {template['role']}: noted as {template.get('template', '')}",
        "own": f"  {template['role']}: your own text, left as it is",
    }[template["action"]]
    return f"{said}; your text is in {template['aside']}" if template.get("aside") else said
