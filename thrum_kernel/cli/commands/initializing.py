"""``init``: set thrum up in a repository, or let a linked worktree share it, and start the daemon.

On a terminal it asks; everything it does is a step, the kernel's own and those of plugins, within one transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NoReturn

import typer

from thrum_kernel import jsonio, paths
from thrum_kernel.api import InitStep
from thrum_kernel.briefing.wizard import Wizard
from thrum_kernel.cli import bootstrapping, bringing
from thrum_kernel.cli.command import Group, Run, command, run_of
from thrum_kernel.cli.commands.init_steps import (
    PROJECT_BELOW,
    TMUX,
    KernelSteps,
    home_of,
    joins,
)
from thrum_kernel.cli.commands.view import show
from thrum_kernel.cli.interrupts import all_alike
from thrum_kernel.cli.output import Option
from thrum_kernel.cli.setup import Wishes, worktrees_root
from thrum_kernel.cli.transaction import Transaction
from thrum_kernel.cli.undertaking import Undertaking
from thrum_kernel.errors import NotARepository, UsageError
from thrum_kernel.identity.model import check_agent
from thrum_kernel.paths import Paths
from thrum_kernel.plugins import in_process
from thrum_kernel.plugins.in_process import ProcessHost
from thrum_kernel.settings.document import SettingsFile

OF_PLUGINS = {"runtime": "runtimes", "skills": "runtimes", "roles": "roles"}
"""Options that only a plugin's step gives a meaning, with the extra that brings it."""


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "init", local=True, offline=True)(init)


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
    where = paths.plan(run.inv.cwd, repo=run.inv.repo or None, env=run.inv.env, without_git=True)
    options = {
        "name": name,
        "role": agent_role or run.inv.role or None,
        "module": agent_module or run.inv.module or None,
        "worktrees-root": worktrees,
        "runtime": runtime,
        "skills": skills or None,
        "roles": roles,
        **run.extra,
    }
    with plugged(run, where) as plugins, jsonio.locked(where.repo), Transaction() as transaction:
        again = _only_again(plugins, where, options, force=force)
        _may_begin(run, where, plugins, force=force, again=bool(again))
        plan = Undertaking(
            where,
            settings=plugins.settings,
            env=run.inv.env,
            options=options,
            transaction=transaction,
            dry_run=dry_run,
            force=force,
        )
        terminal = None if non_interactive or dry_run or run.inv.as_json else run.terminal
        kernel = KernelSteps(
            run,
            plan,
            Wishes(stealth=stealth),
            with_daemon=not no_daemon,
            needs_tmux=terminal is not None and _has(plugins, TMUX),
        )
        steps = again or in_order(kernel, plugins, where)
        _check(run, plan, kernel, steps)
        with told_when_interrupted(run, transaction), all_alike():
            if terminal is not None and not again:
                run.out.flush()
                plan.answer(Wizard(terminal).ask(steps, plan))
            carry_out(steps, plan)
            plan.hide_created(stealth)
    _report(run, plan)


def initialize(run: Run, where: Paths) -> None:
    """Set up with what is usual and start the daemon, for a command that needs it: all of it, or nothing.

    Raises:
        ThrumError, OSError: a step failed; what was there before is there again, byte for byte.
    """
    with jsonio.locked(where.repo), Transaction() as transaction, all_alike():
        plan = Undertaking(
            where,
            settings=SettingsFile(where.config),
            env=run.inv.env,
            options={},
            transaction=transaction,
        )
        kernel = KernelSteps(run, plan, Wishes())
        kernel.refuse_place()
        carry_out(kernel.all(), plan)


def carry_out(steps: Sequence[InitStep], plan: Undertaking) -> None:
    """Run every step in its turn."""
    for step in steps:
        step.run(plan)


def in_order(kernel: KernelSteps, plugins: ProcessHost, where: Paths) -> list[InitStep]:
    """The steps of the kernel and of plugins; a worktree that joins a project leaves out what sets one up."""
    steps = [*kernel.all(), *plugins.init_steps]
    if joins(where):
        steps = [step for step in steps if step.name in ("core", "identity") or step.order >= PROJECT_BELOW]
    return sorted(steps, key=lambda step: step.order)


@contextlib.contextmanager
def plugged(run: Run, where: Paths) -> Iterator[ProcessHost]:
    """The plugins of this process; what one does wrong is told, and does not keep the others from their work."""
    with in_process.host(where, SettingsFile(where.config), env=run.inv.env) as plugins:
        for plugin in plugins.plugins:
            if plugin.state == "failed":
                run.out.note(f"Warning: plugin {plugin.label} is left out: {plugin.error}")
        yield plugins


@contextlib.contextmanager
def told_when_interrupted(run: Run, transaction: Transaction) -> Iterator[None]:
    """Take everything back at Ctrl-C, and say so."""
    try:
        yield
    except KeyboardInterrupt:
        transaction.roll_back()
        run.out.note("\nInterrupted: nothing was changed.")
        for problem in transaction.problems:
            run.out.note(f"Warning: {problem}")
        run.out.flush()
        raise


def _only_again(
    plugins: ProcessHost, where: Paths, options: Mapping[str, Any], *, force: bool
) -> list[InitStep]:
    """The steps of plugins that options ask for where everything else is done already; else none."""
    if force or not where.config.is_file() or (where.is_redirected and not where.redirect.is_file()):
        return []
    return asked_for(plugins, options)


def asked_for(plugins: ProcessHost, options: Mapping[str, Any]) -> list[InitStep]:
    """The steps of plugins one of whose options was given."""
    return [step for step in plugins.init_steps if any(options.get(each.name) for each in step.options)]


def _may_begin(run: Run, where: Paths, plugins: ProcessHost, *, force: bool, again: bool) -> None:
    """Refuse what cannot be: outside git without ``--force``, what guards deny, what is there already."""
    if not bootstrapping.judge(run, where, plugins, "init", force=force):
        raise NotARepository(where.worktree)
    if where.config.is_file() and not where.is_redirected and not force and not again:
        earlier = "; messages of an earlier Thrum are here: thrum migrate" if bringing.offered(where) else ""
        raise UsageError(
            f"thrum is already initialized in {where.repo}",
            hint=f"to bring it up to date: thrum init --force{earlier}",
        )


def _check(run: Run, plan: Undertaking, kernel: KernelSteps, steps: Sequence[InitStep]) -> None:
    """Refuse options, and a place that the daemon refuses, before anything is asked or written."""
    kernel.refuse_place()
    known = {option.name for step in steps for option in step.options}
    for option, extra in OF_PLUGINS.items():
        given = plan.options.get(option)
        if given and option not in known and given != "skip":
            needs_plugin(f"--{option}", extra)
    if plan.options.get("worktrees-root"):
        worktrees_root(str(plan.options["worktrees-root"]), plan.where, home=home_of(run))
    agent = kernel.agent()
    if agent.name:
        check_agent(agent.name, agent.role, agent.module)


def needs_plugin(flag: str, extra: str) -> NoReturn:
    """Refuse a flag that only a plugin gives a meaning."""
    raise UsageError(
        f"{flag} needs the {extra} plugin, which is not installed",
        hint=f"install thrum-{extra} from where this thrum came from",
    )


def _has(plugins: ProcessHost, name: str) -> bool:
    found = plugins.named(name)
    return found is not None and found in plugins.loaded


def _report(run: Run, plan: Undertaking) -> None:
    result = plan.finished()
    lines = plan.lines(with_files=run.inv.verbose or plan.dry_run)
    if plan.dry_run:
        show(run, result, ["Dry run — no files written:", *lines])
        return
    if bringing.offered(plan.where):
        run.out.hint(
            "init.next-migrate",
            "messages of an earlier Thrum are here",
            options=[
                Option("look", "thrum migrate --dry-run"),
                Option("bring them over", "thrum migrate"),
            ],
        )
    if "agent" not in result and not any(plan.where.identities.glob("*.json")):
        run.out.hint(
            "init.next-quickstart",
            "nobody is registered yet in this worktree",
            options=[Option("register", "thrum quickstart --name NAME --role ROLE --module MODULE")],
        )
    show(run, {**result, "repo_path": str(plan.where.repo)}, [*lines, "Thrum initialized"])
