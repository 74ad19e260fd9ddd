"""``setup claude-md``: a block in ./CLAUDE.md that tells an agent how to use thrum; ``setup PATH``: wire a worktree."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from thrum_kernel import gitdir, paths, templates
from thrum_kernel.cli.command import Group, Run, command, group, run_of
from thrum_kernel.cli.commands.view import show
from thrum_kernel.errors import DaemonError, FileDamaged, UsageError
from thrum_kernel.jsonio import locked, write_atomic
from thrum_kernel.paths import Paths

BEGIN = "<!-- BEGIN THRUM -->"
END = "<!-- END THRUM -->"


def register(root: Group) -> None:
    """Add these commands."""
    setups = group(root, "setup", help="Wire a worktree, or an instructions file, to thrum")
    command(root, "setup", local=True, offline=True)(setup)
    command(setups, "claude-md", local=True, offline=True)(claude_md)


def setup(
    ctx: typer.Context,
    path: Annotated[str | None, typer.Argument(metavar="WORKTREE_PATH", help="A linked worktree.")] = None,
) -> None:
    """Let an existing worktree share this repository's thrum."""
    run = run_of(ctx)
    if path is None:
        raise UsageError(
            "which worktree? give its path", hint="thrum setup WORKTREE_PATH, or thrum setup claude-md"
        )
    if not (run.inv.cwd / path).is_dir():
        raise UsageError(f"{path} is not a folder", hint="to make a worktree: git worktree add PATH BRANCH")
    found = paths.plan(run.inv.cwd, repo=path, env=run.inv.env)
    _check_shares(found)
    _check_stands_there(run, found)
    is_new = paths.write_redirect(found)
    for note in _wire(run, found):
        run.out.warn(note)
    said = "shares" if is_new else "shares already"
    value = {"worktree": str(found.worktree), "thrum": str(found.thrum), "changed": is_new}
    show(run, value, [f"✓ {found.worktree} {said} {found.thrum}"])


def _check_shares(found: Paths) -> None:
    """Refuse a worktree that cannot share the repository's ``.thrum``, before anything is written.

    Raises:
        UsageError: it is none that shares, the repository is not initialised, or its ``.thrum`` is no folder of its own.
    """
    here, place = found.worktree / paths.THRUM_FOLDER, gitdir.locate(found.worktree)
    if found.is_redirected and not found.is_initialized:
        raise UsageError(f"{found.repo} is not initialized", hint=f"thrum init --repo {found.repo}")
    if not found.is_initialized:
        raise UsageError(
            f"{found.worktree} is no linked worktree of an initialized repository", hint="run: thrum init"
        )
    if place is None or not place.is_linked or (place.main_worktree is None and not found.is_redirected):
        raise UsageError(
            f"{found.worktree} holds the shared .thrum itself: there is nothing to wire",
            hint="thrum setup WORKTREE_PATH, of a linked worktree",
        )
    if here.is_symlink() or (here.exists() and not here.is_dir()):
        raise UsageError(f"{here} is no folder of its own", hint="move it away, then retry")
    if not found.is_redirected:
        config = here / "config.json"
        raise UsageError(f"{here} has a configuration of its own", hint=f"move {config} away, then retry")


def _check_stands_there(run: Run, found: Paths) -> None:
    """Refuse a caller whom the daemon, which wires the rest, would refuse when half of it is done.

    Raises:
        UsageError: they stand in no worktree of that repository.
    """
    if run.tree.root.find("worktree") is None:
        return
    stands, there = gitdir.locate(run.inv.cwd), gitdir.locate(found.worktree)
    if stands is None or there is None or stands.common_dir != there.common_dir:
        raise UsageError(
            f"{found.worktree} belongs to another repository than the one you stand in",
            hint=shlex.join(["cd", str(found.worktree)]) + " && thrum setup .",
        )


def _wire(run: Run, found: Paths) -> list[str]:
    """Have the plugins do their part, where one of them looks after worktrees; what the reader should know."""
    if run.tree.root.find("worktree") is None:
        return []
    try:
        done = run.call("worktrees.setup", path=str(found.worktree))
    except DaemonError:
        return [f"hooks and .beads are wired when the daemon runs: thrum setup {found.worktree}"]
    return [str(note) for note in done.get("notes", ())]


def claude_md(
    ctx: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Write it into ./CLAUDE.md.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a block that is there.")] = False,
) -> None:
    """Print the block for CLAUDE.md, or write it there."""
    run = run_of(ctx)
    if not apply:
        if force:
            raise UsageError("--force needs --apply")
        show(run, {"template": block()}, block().rstrip("\n").split("\n"))
        return
    target = run.inv.cwd / "CLAUDE.md"
    with locked(run.inv.cwd):
        action = _apply(target, force=force)
    show(run, {"path": str(target), "action": action}, [f"✓ {target}: {action}"])


def block() -> str:
    """The block with its markers, ending with a newline."""
    return f"{BEGIN}\n{templates.read('claude-md.md').decode().strip()}\n{END}\n"


def with_block(text: str, *, force: bool, path: Path) -> str:
    """*text* with the block appended after a blank line, or replaced in place with *force*.

    Raises:
        UsageError: there is a block already, and no *force*.
        FileDamaged: a marker stands without the other.
    """
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 and end < 0:
        if not text.strip():
            return block()
        return text + ("\n" if text.endswith("\n") else "\n\n") + block()
    if begin < 0 or end < begin:
        raise FileDamaged(path, f"has only one of the markers {BEGIN} and {END}")
    if not force:
        raise UsageError(
            f"{path.name} has a Thrum block already", hint="thrum setup claude-md --apply --force"
        )
    return text[:begin] + block().rstrip("\n") + text[end + len(END) :]


def _apply(path: Path, *, force: bool) -> str:
    target = path.resolve()
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        write_atomic(target, block().encode(), mode=0o600)
        return "created"
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise FileDamaged(path, f"is not UTF-8 (byte {error.start})") from None
    changed = with_block(text, force=force, path=path)
    if changed == text:
        return "unchanged"
    had_block = BEGIN in text
    write_atomic(target, changed.encode(), mode=target.stat().st_mode & 0o777)
    return "block replaced" if had_block else "block appended"
