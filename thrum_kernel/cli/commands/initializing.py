"""``init``: set thrum up in a repository, or let a linked worktree share it, and start the daemon."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from thrum_kernel import git, ids, jsonio, paths
from thrum_kernel.cli.arguments import bare_name
from thrum_kernel.cli.command import Group, Run, command, run_of
from thrum_kernel.cli.commands.ready import until_ready
from thrum_kernel.cli.commands.view import show
from thrum_kernel.cli.lifecycle import Lifecycle, Started
from thrum_kernel.cli.output import Option
from thrum_kernel.cli.setup import Plan, Setup, Wishes, describe, line_of, worktrees_root
from thrum_kernel.cli.transaction import Transaction
from thrum_kernel.clock import SystemClock
from thrum_kernel.errors import Refused, UsageError
from thrum_kernel.identity.model import check_agent
from thrum_kernel.paths import Paths
from thrum_kernel.settings import daemon_identity
from thrum_kernel.settings.document import SettingsFile


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "init", local=True, offline=True)(init)


@dataclass(frozen=True, slots=True)
class Agent:
    """Who is to be registered when everything is set up; nobody without a name."""

    name: str = ""
    role: str = ""
    module: str = ""


@dataclass(slots=True)
class Done:
    """What an initialisation did.

    Attributes:
        where: where it was.
        plan: the files, as they were found and written.
        daemon: the daemon that was started; None when that was skipped.
        registered: the answer of ``agent.register``; None when nobody was.
    """

    where: Paths
    plan: Plan
    daemon: Started | None = None
    registered: dict[str, Any] | None = field(default=None)


def init(
    ctx: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help="Again, or outside git; keeps what is there.")
    ] = False,
    stealth: Annotated[
        bool, typer.Option("--stealth", help="Ignore .thrum in .git/info/exclude, not .gitignore.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List every file that would be written, write none.")
    ] = False,
    no_daemon: Annotated[bool, typer.Option("--no-daemon", help="Do not start the daemon.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", "--agent-name", metavar="NAME", help="Register this agent, too.")
    ] = None,
    agent_role: Annotated[str | None, typer.Option("--agent-role", metavar="ROLE", hidden=True)] = None,
    agent_module: Annotated[str | None, typer.Option("--agent-module", metavar="MODULE", hidden=True)] = None,
    worktrees: Annotated[
        str | None, typer.Option("--worktrees-root", metavar="PATH", help="Where worktrees for agents go.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", metavar="NAME", help="Files for a runtime (plugin runtimes).")
    ] = None,
    skills: Annotated[
        bool, typer.Option("--skills", help="Install the thrum skill (plugin runtimes).")
    ] = False,
    roles: Annotated[
        str | None, typer.Option("--roles", metavar="CHOICE", help="Role templates (plugin roles); or skip.")
    ] = None,
    non_interactive: Annotated[bool, typer.Option("--non-interactive", help="Ask nothing.")] = False,
) -> None:
    """Set thrum up in this repository, or let this worktree share it."""
    run = run_of(ctx)
    _refuse_what_plugins_do(runtime, skills, roles)
    where = paths.plan(run.inv.cwd, repo=run.inv.repo or None, env=run.inv.env, without_git=force)
    agent = _agent(run, name, agent_role, agent_module, where, no_daemon=no_daemon)
    base = worktrees_root(worktrees, where, home=_home(run)) if worktrees else None
    wishes = Wishes(stealth=stealth, base_path=base)
    if where.config.is_file() and not where.is_redirected and not force:
        raise UsageError(
            f"thrum is already initialized in {where.repo}", hint="to bring it up to date: thrum init --force"
        )
    if dry_run:
        _preview(run, plan_of(run, where, wishes))
        return
    done = initialize(run, where, wishes, agent=agent, with_daemon=not no_daemon)
    _report(run, done, skipped_daemon=no_daemon)


def initialize(
    run: Run, where: Paths, wishes: Wishes, *, agent: Agent | None = None, with_daemon: bool = True
) -> Done:
    """Set up, start the daemon, register: all of it, or nothing.

    Raises:
        ThrumError, OSError: a step failed; what was there before is there again, byte for byte.
    """
    with jsonio.locked(where.repo), Transaction() as transaction:
        done = Done(where, write(run, where, wishes, transaction))
        if done.plan.records:
            name_daemon(run, where, transaction)
        if with_daemon:
            done.daemon = start(run, where, transaction)
            until_ready(run)
        if agent is not None and agent.name:
            done.registered = run.call(
                "agent.register", name=agent.name, role=agent.role, module=agent.module
            )
    return done


def plan_of(run: Run, where: Paths, wishes: Wishes) -> Plan:
    """What is to be written: all of it, or only the redirect where the repository is initialised already."""
    setup = Setup(where, home=_home(run), branch=_branch(where.repo))
    return setup.plan_worktree() if where.is_redirected and not setup.needs_project else setup.plan(wishes)


def write(run: Run, where: Paths, wishes: Wishes, transaction: Transaction) -> Plan:
    """Write what is to be written, with the configuration locked against the daemon and other commands."""
    transaction.folder(where.thrum)
    with jsonio.locked(where.thrum):
        plan = plan_of(run, where, wishes)
        Setup.write(plan, transaction)
    return plan


def name_daemon(run: Run, where: Paths, transaction: Transaction) -> None:
    """Give this repository's daemon its identity, in T and shown in config.json; one that it has stays."""
    transaction.claim(where.sync)
    transaction.protect(where.daemon_file)
    transaction.protect(where.config)
    origin = git.origin_url(where.repo) if git.discover(where.repo) is not None else ""
    daemon_identity.load_or_create(
        where,
        SettingsFile(where.config),
        clock=SystemClock(),
        host=daemon_identity.this_host(run.inv.env),
        origin_url=origin,
        new_id=ids.HybridClock(SystemClock()).next_ulid,
    )


def start(run: Run, where: Paths, transaction: Transaction) -> Started:
    """Have the daemon run; taking back ends one that was started for this, and removes what it made."""
    lifecycle = Lifecycle(where, run.inv.env)
    transaction.claim(where.sync)
    transaction.claim(where.var)
    if lifecycle.running() is None:
        transaction.on_undo(lifecycle.end_quietly)
    return lifecycle.start()


def needs_plugin(flag: str, extra: str) -> NoReturn:
    """Refuse a flag that only a plugin gives a meaning."""
    raise UsageError(
        f"{flag} needs the {extra} plugin, which is not installed", hint=f"pip install 'thrum[{extra}]'"
    )


def _refuse_what_plugins_do(runtime: str | None, skills: bool, roles: str | None) -> None:
    if runtime:
        needs_plugin("--runtime", "runtimes")
    if skills:
        needs_plugin("--skills", "runtimes")
    if roles and roles != "skip":
        needs_plugin("--roles", "roles")


def _agent(
    run: Run, name: str | None, role: str | None, module: str | None, where: Paths, *, no_daemon: bool
) -> Agent:
    """Who is asked for, checked before anything is written; what is not named has a plain default."""
    chosen = Agent(bare_name(name or ""), role or run.inv.role, module or run.inv.module)
    if not (chosen.name or chosen.role or chosen.module):
        return chosen
    plain = "".join(c if c.isalnum() else "_" for c in where.repo.name.lower()).strip("_") or "main"
    agent = Agent(chosen.name or f"coord_{plain}", chosen.role or "coordinator", chosen.module or plain)
    check_agent(agent.name, agent.role, agent.module)
    if no_daemon:
        raise UsageError(
            "--name, --role and --module register an agent, which needs the daemon: not with --no-daemon",
            hint=f"later: thrum quickstart {agent.name} --role {agent.role} --module {agent.module}",
        )
    return agent


def _preview(run: Run, plan: Plan) -> None:
    named = [*plan.files, *plan.records]
    lines = [line_of(change, dry_run=True) for change in named]
    show(
        run,
        {**_runtime_part(), "files": [describe(change) for change in named], "dry_run": True},
        ["Dry run — no files written:", *lines],
    )


def _report(run: Run, done: Done, *, skipped_daemon: bool) -> None:
    files = [describe(change) for change in (*done.plan.files, *done.plan.records)]
    value: dict[str, Any] = {
        **_runtime_part(),
        "files": files,
        "dry_run": False,
        "repo_path": str(done.where.repo),
    }
    lines = [line_of(change, dry_run=False) for change in done.plan.changes] if run.inv.verbose else []
    if done.where.is_redirected:
        lines.append(f"✓ {done.where.worktree} shares {done.where.thrum}")
    if done.daemon is not None:
        value["daemon"] = {
            "running": True,
            "pid": done.daemon.pid,
            "already_running": done.daemon.was_running,
        }
        lines.append(
            f"✓ Daemon {'is running' if done.daemon.was_running else 'started'} (PID {done.daemon.pid})"
        )
    elif skipped_daemon:
        value["daemon"] = {"running": False}
        lines.append("  skipping daemon start")
    if done.registered is not None:
        value["agent"] = done.registered
        lines.append(f"✓ Agent registered: {done.registered['agent_id']}")
    elif not any(done.where.identities.glob("*.json")):
        _hint_quickstart(run)
    show(run, value, [*lines, "Thrum initialized"])


def _hint_quickstart(run: Run) -> None:
    run.out.hint(
        "init.next-quickstart",
        "nobody is registered yet in this worktree",
        options=[Option("register", "thrum quickstart --name NAME --role ROLE --module MODULE")],
    )


def _runtime_part() -> dict[str, Any]:
    return {"runtime": "", "detected": False}


def _home(run: Run) -> Path:
    home = run.inv.env.get("HOME", "")
    if not home:
        raise Refused("HOME is not set", hint="thrum needs it for the default place of worktrees")
    return Path(home)


def _branch(repo: Path) -> str:
    return git.branch(repo) if git.discover(repo) is not None else ""
