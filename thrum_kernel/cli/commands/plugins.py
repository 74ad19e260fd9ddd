"""``plugin list | show | check | enable | disable | rebuild | retry | trust | new``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from thrum_kernel import paths
from thrum_kernel.cli.command import Group, Pending, Run, command, group, run_of
from thrum_kernel.cli.commands.view import show
from thrum_kernel.cli.texts.plugins import detail_lines, plugin_lines, report_lines, trouble_lines
from thrum_kernel.errors import NotFound, NotInitialized, UsageError
from thrum_kernel.plugins import checking, discovery, in_process, scaffold, team
from thrum_kernel.plugins.record import LoadFailed, Source
from thrum_kernel.settings.document import SettingsFile

Name = Annotated[str, typer.Argument(metavar="NAME")]


def register(root: Group) -> None:
    """Add these commands."""
    plugins = group(root, "plugin", help="What is installed beside the kernel")
    command(plugins, "list", offline=True)(list_all)
    command(plugins, "show", offline=True)(show_one)
    command(plugins, "check", local=True, offline=True)(check)
    command(plugins, "enable")(enable)
    command(plugins, "disable")(disable)
    command(plugins, "rebuild")(rebuild)
    command(plugins, "retry")(retry)
    command(plugins, "trust", local=True, offline=True)(trust)
    command(plugins, "new", local=True, offline=True)(new)


def list_all(ctx: typer.Context) -> None:
    """List plugins with their state, and what is wrong with them."""
    run = run_of(ctx)
    found = run.call("plugin.list")
    show(run, found, plugin_lines(found["plugins"]))


def show_one(ctx: typer.Context, name: Name) -> None:
    """Show everything that a plugin adds, its settings, and events it could not take."""
    run = run_of(ctx)
    found = run.call("plugin.show", name=name)
    show(run, found, detail_lines(found))


def enable(ctx: typer.Context, name: Name) -> int:
    """Load a plugin, or call its switched off hooks again."""
    run = run_of(ctx)
    done = run.call("plugin.enable", name=name)
    plugin = done["plugin"]
    again = f"; called again: {', '.join(done['hooks'])}" if done.get("hooks") else ""
    show(run, done, [f"{name}: {plugin['state']}{again}", *trouble_lines(plugin, indent=2)])
    return 1 if plugin["state"] == "failed" else 0


def disable(ctx: typer.Context, name: Name) -> None:
    """Take a plugin out, now and at later starts; what it stored stays."""
    run = run_of(ctx)
    done = run.call("plugin.disable", name=name)
    show(run, done, [f"{name}: disabled"])


def rebuild(ctx: typer.Context, name: Name) -> Pending:
    """Fill a plugin's tables anew from the log."""
    run = run_of(ctx)

    def finish(done: Any) -> None:
        show(run, done, [f"{name}: the cache was filled anew from the log"])

    return Pending("plugin.rebuild", {"name": name}, finish)


def retry(ctx: typer.Context, name: Name) -> Pending:
    """Give a plugin the events again that it could not take."""
    run = run_of(ctx)

    def finish(done: Any) -> int:
        show(run, done, [f"{name}: took {done['taken']}, {done['left']} left"])
        return 1 if done["left"] else 0

    return Pending("plugin.retry", {"name": name}, finish)


def check(
    ctx: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="[NAME|PATH]", help="Without it: all that are installed.")
    ] = "",
    suite: Annotated[bool, typer.Option("--suite/--no-suite", help="Run the conformance suite.")] = True,
    require: Annotated[str, typer.Option(help="bronze, silver or gold: fail below it.")] = "bronze",
) -> int:
    """Grade a plugin, installed or a project at PATH: bronze, silver or gold. Needs no daemon."""
    run = run_of(ctx)
    if require not in checking.GRADES:
        raise UsageError(f'unknown grade "{require}"', hint="bronze, silver or gold")
    where = _somewhere(run)
    sources = _sources(run, where, target)
    env = {name: value for name, value in run.inv.env.items() if not name.startswith("THRUM_PLUGINS_")}
    reports = []
    with in_process.host(where, SettingsFile(where.config), env=env, sources=sources) as host:
        for plugin in host.plugins:
            if not target or plugin.source in sources[-_count(target, sources) :]:
                reports.append(msgspec.to_builtins(checking.check(host, plugin, suite=suite)))
    run.out.json({"reports": reports})
    for report in reports:
        for line in report_lines(report):
            run.out.line(line)
    if not reports:
        run.out.line("No plugins installed.")
    wanted = checking.GRADES.index(require)
    return 1 if any(checking.GRADES.index(report["grade"]) < wanted for report in reports) else 0


def trust(ctx: typer.Context, name: Name) -> None:
    """Let a file of .thrum-plugins run on this machine, exactly as it is now. Read it first."""
    run = run_of(ctx)
    where = _project(run)
    stem = name.removesuffix(".py")
    if not team.is_plain(where.repo, stem):
        raise UsageError(
            f"{name} is no plain file of {team.FOLDER}",
            hint=f"the name alone of a file there, e.g. mood for {team.FOLDER}/mood.py",
        )
    file = team.file_of(where.repo, stem)
    digest = team.Trust(where.sync).grant(file)
    named = SettingsFile(where.config).plugins.team
    lines = [f"{file.name}: these bytes are trusted on this machine ({digest[:12]}…)"]
    if file.stem in named:
        lines.append(f"  Load it now: thrum plugin enable {file.stem}")
    else:
        lines.append(f"""  Name it: thrum config set plugins.team '["{file.stem}"]'""")
    show(run, {"file": str(file), "sha256": digest, "configured": file.stem in named}, lines)


def new(
    ctx: typer.Context,
    name: Name,
    parts: Annotated[
        str,
        typer.Option("--with", help=f"Parts to start with, comma-separated: {', '.join(scaffold.PARTS)}."),
    ] = "",
    into: Annotated[str, typer.Option(help="Folder to make it in; default: here.")] = "",
    summary: Annotated[str, typer.Option(help="What it does, in one line.")] = "",
) -> None:
    """Write a new plugin: a real project, with tests, that installs as it is."""
    run = run_of(ctx)
    if run.tree.root.find(name) is not None:
        raise UsageError(f'a plugin cannot be called "{name}": a command is', hint=f"e.g. acme_{name}")
    chosen = [part.strip() for part in parts.split(",") if part.strip()]
    folder = (run.inv.cwd / into).resolve() / scaffold.folder_name(name)
    made = scaffold.write(folder, scaffold.project(name, parts=chosen, summary=summary))
    lines = [
        f"✓ {folder}",
        *(f"  {path.relative_to(folder)}" for path in made),
        f"  Next: pip install -e '{folder}[test]' && thrum daemon restart && thrum plugin check {name}",
    ]
    show(run, {"path": str(folder), "files": [str(path.relative_to(folder)) for path in made]}, lines)


def _sources(run: Run, where: paths.Paths, target: str) -> list[Source]:
    """The plugins to load; what *target* means comes last, since it may need others."""
    settings = SettingsFile(where.config)
    installed = [
        *discovery.installed(),
        *team.sources(where.repo, team.Trust(where.sync), settings.plugins.team),
    ]
    if not target:
        return installed
    path = (run.inv.cwd / target).resolve()
    if (path / "pyproject.toml").is_file():
        wanted = _of_project(path)
    elif path.suffix == ".py" and path.is_file():
        wanted = [team.judged(path)]
    else:
        wanted = [source for source in installed if source.name == target]
    if not wanted:
        raise NotFound("plugin", target, hint="thrum plugin list, or the path of its project")
    names = {source.name for source in wanted}
    return [*(source for source in installed if source.name not in names), *wanted]


def _count(target: str, sources: list[Source]) -> int:
    return sum(1 for source in sources if source.name == sources[-1].name) if target else len(sources)


def _of_project(folder: Path) -> list[Source]:
    """The plugins of a project, importable in this process, which ends with the command."""
    try:
        found = discovery.of_project(folder)
    except LoadFailed as error:
        raise UsageError(str(error)) from error
    source = folder / "src"
    sys.path.insert(0, str(source if source.is_dir() else folder))
    return found


def _project(run: Run) -> paths.Paths:
    return paths.find(run.inv.cwd, repo=run.inv.repo or None, env=run.inv.env)


def _somewhere(run: Run) -> paths.Paths:
    """The project one stands in, or what it would be: a plugin can be checked anywhere."""
    try:
        return _project(run)
    except NotInitialized:
        return paths.plan(run.inv.cwd, env=run.inv.env, without_git=True)
