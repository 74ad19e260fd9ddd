"""What a command is: a function with a typed signature, and the facts that decide where it runs.

A command is written once and runs in the daemon or in process::

    def register(root: Group) -> None:
        messages = group(root, "message", help="Read and change single messages")

        @command(messages, "get")
        def get(ctx: typer.Context, message_id: Annotated[str, typer.Argument()]) -> None:
            \"\"\"Show one message.\"\"\"
            run = run_of(ctx)
            found = run.call("message.get", message_id=message_id)
            run.out.json(found)
            run.out.line(found["message"]["body"]["content"])

It never looks at ``sys`` or ``os.environ`` and never prints. In JSON mode `Output` drops the lines, so a command may
write both forms. Registering does not import Typer; only running and describing a command does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from thrum_kernel.api import Api, InitOption, Invocation
from thrum_kernel.cli.output import Output
from thrum_kernel.errors import ThrumError, UsageError

if TYPE_CHECKING:
    import typer

    from thrum_kernel.briefing.wizard import Terminal
    from thrum_kernel.cli.app import Tree
    from thrum_kernel.cli.hinting import Around

F = TypeVar("F", bound=Callable[..., Any])


class Run:
    """One run of one command: what was typed, whom to ask, where to write.

    Attributes:
        inv: what was typed, the global options included.
        api: asks the daemon; `call` is short for its only method.
        out: where to write.
        tree: all commands.
        terminal: where questions can be asked; None where nobody is there to answer.
        extra: values of the options that `Command.more` adds, by name; None where not given.
        around: asks for hints before and after it; None where nobody has any.
    """

    def __init__(
        self,
        inv: Invocation,
        *,
        api: Api,
        out: Output,
        tree: Tree,
        read: Callable[[str | None, int], bytes],
        around: Around | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        self.inv = inv
        self.api = api
        self.out = out
        self.tree = tree
        self.around = around
        self.terminal = terminal
        self.extra: dict[str, Any] = {}
        self._read = read

    def call(self, method: str, /, **params: Any) -> Any:
        """The result of a method as plain JSON values.

        Raises:
            ThrumError: whatever the method refused with.
        """
        return self.api.call(method, **params)

    def stdin(self, *, max_bytes: int = 16 << 20) -> bytes:
        """All of the caller's standard input.

        In the daemon the command starts again from its first line when the client has sent it, so ask for input
        before anything else that takes long.

        Raises:
            UsageError: it is longer than *max_bytes*, or cannot be read.
        """
        return self._read(None, max_bytes)

    def file(self, path: str, *, max_bytes: int = 16 << 20) -> bytes:
        """The bytes of a file that the caller named, opened with the caller's rights; as `stdin` otherwise.

        Raises:
            UsageError: it is longer than *max_bytes*, is not there, or cannot be read.
        """
        return self._read(path, max_bytes)


def run_of(ctx: typer.Context) -> Run:
    """The run that a command's context belongs to."""
    run = ctx.obj
    assert isinstance(run, Run), "this context was not made by the command tree"
    return run


@dataclass(frozen=True, slots=True)
class Pending:
    """A long answer: the method is awaited without a thread, then *finish* is called with its result.

    A command returns it instead of calling a method that may take minutes. When the caller goes away the method is
    cancelled.

    Attributes:
        method: e.g. ``message.wait``.
        params: its parameters.
        finish: ``(result)`` → exit status (None is 0), or another `Pending`. What it wrote is sent before that.
        failed: ``(error)`` → the same, for an error of the method; None prints it and exits with its status.
        resume: ``(seconds since it was first asked)`` → the parameters to ask again with, when the daemon was restarted
            meanwhile or cannot answer yet; None for a method that is not asked again.
    """

    method: str
    params: Mapping[str, Any]
    finish: Callable[[Any], int | Pending | None]
    failed: Callable[[ThrumError], int | Pending | None] | None = None
    resume: Callable[[float], Mapping[str, Any]] | None = None

    def after_failure(self, error: ThrumError) -> Callable[[], Outcome]:
        """What goes on after an error of the method."""

        def go_on() -> Outcome:
            if self.failed is None:
                raise error
            return self.failed(error)

        return go_on


Outcome = int | Pending | None


@dataclass(slots=True)
class Command:
    """One command of the tree.

    Attributes:
        name: its word.
        function: ``(ctx, …) -> Outcome``, or a dotted path ``package.module:function`` that is imported on first use.
        help: what it does; the first line is listed. Empty means the function's docstring.
        local: runs in the caller's own process: it owns the terminal, or outlives the daemon.
        offline: runs with no daemon, too, and never starts one.
        brief: does nothing but ask and write a short answer; in the daemon it runs without a thread.
        hidden: not listed.
        error_status: exit status of every error it refuses with, wrong usage included; 0 = the error's own.
        typer: further settings of ``Typer.command``.
        owner: distribution or plugin that added it; empty for the kernel.
        more: gives options that are not in the function's signature; asked when it is first parsed.
    """

    name: str
    function: Callable[..., Any] | str
    help: str = ""
    local: bool = False
    offline: bool = False
    brief: bool = False
    hidden: bool = False
    aliases: tuple[str, ...] = ()
    error_status: int = 0
    typer: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    more: Callable[[], Iterable[InitOption]] | None = None
    parser: Any = None
    """The Typer command, made by `app` on first use."""


@dataclass(slots=True)
class Group:
    """A word with commands below it.

    Attributes:
        name: its word; empty at the root.
        help: one line.
        own: what the word does when no command follows (``thrum team``); None shows the help.
    """

    name: str
    help: str = ""
    hidden: bool = False
    own: Command | None = None
    members: dict[str, Command | Group] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    options: dict[str, bool] | None = None
    """Every option below this word → whether it takes a value; made by `app` on first use."""

    def find(self, word: str) -> Command | Group | None:
        """The command or group called *word* here, by name or alias."""
        return self.members.get(self.aliases.get(word, word))

    def add(self, entry: Command | Group) -> None:
        """Put a command or group below this word.

        Raises:
            UsageError: the word, or an alias, is taken.
        """
        found = self.members.get(entry.name)
        if isinstance(found, Group) and isinstance(entry, Command) and found.own is None:
            found.own = entry
        elif isinstance(found, Command) and isinstance(entry, Group):
            entry.own = found
            self.members[entry.name] = entry
        elif self.find(entry.name) is not None:
            raise UsageError(f"command {self._path(entry.name)} is defined twice")
        else:
            self.members[entry.name] = entry
        self._add_aliases(entry)

    def remove(self, name: str) -> None:
        """Take a command or group away again; nothing happens when it is not there."""
        self.members.pop(name, None)
        self.aliases = {alias: target for alias, target in self.aliases.items() if target != name}
        self.options = None

    def commands(self) -> Iterator[tuple[tuple[str, ...], Command]]:
        """Every command from here down with its words, this group's own first, hidden ones included."""
        if self.own is not None:
            yield (), self.own
        for name, entry in self.members.items():
            if isinstance(entry, Command):
                yield (name,), entry
            else:
                for words, found in entry.commands():
                    yield (name, *words), found

    def _add_aliases(self, entry: Command | Group) -> None:
        for alias in entry.aliases if isinstance(entry, Command) else ():
            if self.find(alias) is not None:
                raise UsageError(f"command {self._path(alias)} is defined twice")
            self.aliases[alias] = entry.name
        self.options = None

    def _path(self, name: str) -> str:
        return f'"{self.name} {name}"' if self.name else f'"{name}"'


def group(parent: Group, name: str, *, help: str = "", hidden: bool = False) -> Group:
    """The group *name* below *parent*: the one that is there (a plugin adds to another's noun), else a new one."""
    found = parent.members.get(name)
    if isinstance(found, Group):
        found.help = found.help or help
        return found
    made = Group(name, help=help, hidden=hidden)
    parent.add(made)
    return made


def command(
    parent: Group,
    name: str,
    *,
    local: bool = False,
    offline: bool = False,
    brief: bool = False,
    hidden: bool = False,
    aliases: tuple[str, ...] = (),
    help: str = "",
    error_status: int = 0,
    **typer_settings: Any,
) -> Callable[[F], F]:
    """Add the decorated function as ``thrum <parent> <name>``; see `Command` for the settings.

    A command called like a group of the same parent is what that group does by itself.

    Raises:
        UsageError: the word is taken.
    """

    def add(function: F) -> F:
        parent.add(
            Command(
                name,
                function,
                help=help,
                local=local,
                offline=offline,
                brief=brief,
                hidden=hidden,
                aliases=aliases,
                error_status=error_status,
                typer=typer_settings,
            )
        )
        return function

    return add


def refuse_together(**given: Any) -> None:
    """Refuse options that exclude each other: ``refuse_together(to=to, broadcast=broadcast)``.

    Raises:
        UsageError: two of them were given (are neither None, False nor empty).
    """
    flags = [
        f"--{name.replace('_', '-')}"
        for name, value in given.items()
        if value not in (None, False, "", [], ())
    ]
    if len(flags) > 1:
        raise UsageError(f"{flags[0]} and {flags[1]} are mutually exclusive")
