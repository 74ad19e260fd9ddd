"""The tree of commands: built once, walked word by word, each leaf parsed by Typer.

The walk is ours, so that one context and one parser are made per command and not one a level, so that options may
come before the sub-command, and so that where a command runs is known before anything is parsed. The leaf's own
arguments and options are Typer's.

Source: DESIGN.md D4; spec/decisions.md "The command line, everywhere"; spec/features.md §13.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from thrum_kernel.api import InitOption
from thrum_kernel.cli import usage
from thrum_kernel.cli.command import Command, Group, Outcome, Run
from thrum_kernel.errors import PluginError, ThrumError

PROGRAM: Final = "thrum"

GLOBAL_OPTIONS: Final[dict[str, bool]] = {
    **dict.fromkeys(("--role", "--module", "--repo"), True),
    **dict.fromkeys(("--json", "--quiet", "--verbose", "-h", "--help"), False),
}
"""Options of every command → whether they take a value."""

_MORE: Final = "more_"
"""Before the names of values whose options are in no signature."""

_VERSION: Final = ("-v", "--version")
_HELP: Final = ("-h", "--help")


class HelpWanted(Exception):
    """``-h`` or ``--help`` was given.

    Attributes:
        text: what to print.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Found:
    """Where the words of a command line lead.

    Attributes:
        words: names of the groups and the command.
        entry: the command, or the group whose help is shown.
        args: what is left for the command, options that came before it first.
        wants_help: ``-h`` or ``--help`` is among them.
    """

    words: tuple[str, ...]
    entry: Command | Group
    args: tuple[str, ...]
    wants_help: bool

    @property
    def path(self) -> str:
        """The command as it is typed."""
        return " ".join((PROGRAM, *self.words))

    @property
    def is_local(self) -> bool:
        """Whether it runs in the caller's own process; help does, since the terminal's width decides its lines."""
        return self.wants_help or isinstance(self.entry, Group) or self.entry.local

    @property
    def is_brief(self) -> bool:
        """Whether its function takes so little that it needs no thread."""
        return isinstance(self.entry, Command) and self.entry.brief

    @property
    def is_offline(self) -> bool:
        """Whether it runs with no daemon, too, and never starts one."""
        return self.wants_help or isinstance(self.entry, Group) or self.entry.offline


class Tree:
    """All commands.

    Attributes:
        absent: why there is no command that starts with a word (its plugin failed, or is not installed); empty when
            that is not known.
        broken: told of a plugin's command that cannot be imported, each time it is wanted.
    """

    def __init__(self, root: Group) -> None:
        self.root = root
        self.absent: Callable[[str], str] = lambda word: ""
        self.broken: Callable[[Command, PluginError], object] = lambda command, error: None
        self._building = threading.Lock()
        self._capturing = threading.Lock()
        self._global_params: list[Any] | None = None

    def find(self, argv: Sequence[str]) -> Found:
        """Where *argv* leads; parses nothing yet.

        Raises:
            UsageError: there is no such command, or an option before it is unknown.
        """
        entry: Command | Group = self.root
        words: list[str] = []
        before: list[str] = []
        rest = list(argv)
        while isinstance(entry, Group) and rest and rest[0] != "--":
            if rest[0].startswith("-") and len(rest[0]) > 1:
                if entry is self.root and rest[0] in _VERSION:
                    rest[0] = "version"
                    continue
                taken = 1 + self._takes_next(entry, rest[0], words)
                before += rest[:taken]
                rest = rest[taken:]
                continue
            found = entry.find(rest[0])
            if found is None:
                break
            words.append(found.name)
            entry, rest = found, rest[1:]
        return self._found(words, entry, before, rest)

    def run(self, found: Found, run: Run) -> Outcome:
        """Parse the arguments of a found command and call its function; sets the global options of *run*.

        Raises:
            HelpWanted: help was asked for, or a group was named and none of its commands.
            ThrumError: what the command refused with, a `UsageError` for wrong arguments.
        """
        if isinstance(found.entry, Group):
            if "--json" in found.args and not found.wants_help:
                raise usage.missing_command(found.path)
            raise HelpWanted(self.help_of(found))
        run.out.command = found.path
        try:
            return self._run(found, found.entry, run)
        except ThrumError as error:
            error.exit_code = found.entry.error_status or error.exit_code
            raise

    def _run(self, found: Found, command: Command, run: Run) -> Outcome:
        parser = self.parser(command)
        with usage.translated(found.path):
            ctx = parser.make_context(found.path, list(found.args), obj=run)
            flags = {name: ctx.params.pop(name) for name in list(ctx.params) if name.startswith("global_")}
            if command.more is not None:
                added = {
                    param.name: param.opts[0][2:] for param in parser.params if param.name.startswith(_MORE)
                }
                run.extra = {flag: ctx.params.pop(name) for name, flag in added.items()}
            # Typer keeps a command's last values in one dictionary: nobody else may come between.
            with self._capturing:
                values = parser.invoke(ctx)
        set_flags(run, flags)
        assert callable(command.function)
        outcome: Outcome = (
            command.function(**values) if run.around is None else run.around.run(command.function, values)
        )
        return outcome

    def parser(self, command: Command) -> Any:
        """The Typer command of *command*, made on first use."""
        if command.parser is None:
            with self._building:
                if command.parser is None:
                    command.parser = self._build(command)
        return command.parser

    def prepare(self) -> None:
        """Make every parser now, so that no caller waits for it; what plugins add is imported when it is run."""
        for _, command in self.root.commands():
            if not isinstance(command.function, str):
                self.parser(command)

    def help_of(self, found: Found) -> str:
        """The help text of a command or group."""
        from thrum_kernel.cli import help as texts

        entry = found.entry.own if isinstance(found.entry, Group) else found.entry
        parser = self.parser(entry) if entry is not None else None
        ctx = parser.context_class(parser, info_name=found.path) if parser is not None else None
        if isinstance(found.entry, Group):
            own = str(parser.get_help(ctx)) if parser is not None else ""
            return texts.group_help(found.path, found.entry, own=own)
        return texts.command_help(parser, ctx)

    def options_below(self, group: Group) -> dict[str, bool]:
        """Every option of the commands below *group* → whether it takes a value."""
        if group is self.root:
            return GLOBAL_OPTIONS
        if group.options is None:
            options: dict[str, bool] = dict(GLOBAL_OPTIONS)
            for _, command in group.commands():
                for param in self.params(command):
                    if param.param_type_name == "option":
                        takes = not (param.is_flag or param.count)
                        options.update(dict.fromkeys((*param.opts, *param.secondary_opts), takes))
            group.options = options
        return group.options

    def params(self, command: Command) -> list[Any]:
        """The parameters of a command; none of one that cannot be imported, which says so when it is run."""
        try:
            params: list[Any] = self.parser(command).params
        except ThrumError:
            return []
        return params

    def _takes_next(self, group: Group, word: str, words: Sequence[str]) -> bool:
        options = self.options_below(group)
        name, equals, _ = word.partition("=")
        path = " ".join((PROGRAM, *words))
        if word.startswith("--"):
            if name not in options:
                raise usage.unknown_flag(name, path, options)
            return options[name] and not equals
        for place, letter in enumerate(word[1:], start=2):
            if f"-{letter}" not in options:
                raise usage.unknown_flag(f"-{letter}", path, options)
            if options[f"-{letter}"]:
                return place == len(word)
        return False

    def _found(self, words: list[str], entry: Command | Group, before: list[str], rest: list[str]) -> Found:
        args = (*before, *rest)
        own = args[: args.index("--")] if "--" in args else args
        wants_help = any(word in _HELP for word in own)
        if isinstance(entry, Group) and entry.own is not None:
            if not (wants_help and not rest):
                entry = entry.own
        elif isinstance(entry, Group) and rest and not wants_help:
            raise usage.unknown_command(
                rest[0],
                " ".join((PROGRAM, *words)),
                entry,
                absent=self.absent(words[0] if words else rest[0]),
            )
        return Found(tuple(words), entry, args, wants_help)

    def _build(self, command: Command) -> Any:
        import typer
        from typer.main import get_command

        from thrum_kernel.cli.parsing import LeafCommand

        if isinstance(command.function, str):
            try:
                command.function = _load(command.function, command.owner)
            except PluginError as error:
                self.broken(command, error)
                raise
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        settings: dict[str, Any] = {"help": command.help or None, "hidden": command.hidden, **command.typer}
        app.command(command.name, cls=LeafCommand, add_help_option=False, **settings)(
            _capture(command.function)
        )
        parser: Any = get_command(app)
        if command.more is not None:
            _add_options(parser, command.more())
        taken = {option for param in parser.params for option in (*param.opts, *param.secondary_opts)}
        parser.params += [param for param in self._globals() if not taken.intersection(param.opts)]
        return parser

    def _globals(self) -> list[Any]:
        if self._global_params is None:
            self._global_params = _global_params()
        return self._global_params


def build(registrars: Iterable[Callable[[Group], None]]) -> Tree:
    """The tree that *registrars* fill; each is ``register(root)``."""
    root = Group("", help="Messages between AI coding agents and people, kept in git.")
    for register in registrars:
        register(root)
    return Tree(root)


def kernel_tree() -> Tree:
    """The kernel's own commands."""
    from thrum_kernel.cli import builtin
    from thrum_kernel.cli.commands import REGISTRARS

    return build((*REGISTRARS, builtin.register))


def set_flags(run: Run, flags: dict[str, Any]) -> None:
    """Put the values of the global options where commands find them."""
    given = {name.removeprefix("global_"): value for name, value in flags.items()}
    run.inv = replace(
        run.inv,
        as_json=bool(given.get("json")),
        quiet=bool(given.get("quiet")),
        verbose=bool(given.get("verbose")),
        repo=given.get("repo") or "",
        role=given.get("role") or "",
        module=given.get("module") or "",
    )
    run.out.as_json, run.out.quiet = run.inv.as_json, run.inv.quiet


def _add_options(parser: Any, options: Iterable[InitOption]) -> None:
    """Let a parser take further options; one that it has already only gets the better help."""
    known = {name: param for param in parser.params for name in param.opts}
    added: dict[str, InitOption] = {}
    for option in options:
        flag = f"--{option.name}"
        if flag in known:
            known[flag].help = option.help
        else:
            added.setdefault(flag, option)
    parser.params += _params_of(added)


def _params_of(options: Mapping[str, InitOption]) -> list[Any]:
    """What Typer makes of options: parameters of a function that is never called."""
    import typer
    from typer.main import get_command

    def function(**values: Any) -> None:
        """A signature for Typer."""

    kinds = {flag: bool | None if option.is_flag else str | None for flag, option in options.items()}
    parameters = [
        inspect.Parameter(
            _MORE + option.name.replace("-", "_"),
            inspect.Parameter.KEYWORD_ONLY,
            default=typer.Option(None, flag, help=option.help, metavar=option.metavar or None),
            annotation=kinds[flag],
        )
        for flag, option in options.items()
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(add_help_option=False)(function)
    params: list[Any] = get_command(app).params
    return params


def _load(target: str, owner: str) -> Callable[..., Any]:
    """The function that a dotted path names, whatever importing it does.

    Raises:
        PluginError: it cannot be imported.
    """
    module, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module), name, None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(owner, f"its command {target} cannot be imported: {_told(error)}") from error
    if not callable(function):
        raise PluginError(owner, f"its command {target} is not there")
    loaded: Callable[..., Any] = function
    return loaded


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _capture(function: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """A function with the signature of *function* that gives its arguments: Typer converts them, we call."""

    @functools.wraps(function)
    def capture(**values: Any) -> dict[str, Any]:
        return values

    return capture


def _global_params() -> list[Any]:
    import typer
    from typer.main import get_command

    def show_help(ctx: typer.Context, wanted: bool) -> bool:
        if wanted and not ctx.resilient_parsing:
            from thrum_kernel.cli import help as texts

            raise HelpWanted(texts.command_help(ctx.command, ctx))
        return wanted

    def options(
        global_help: bool = typer.Option(
            False, "--help", "-h", is_eager=True, callback=show_help, hidden=True
        ),
        global_role: str = typer.Option("", "--role", hidden=True),
        global_module: str = typer.Option("", "--module", hidden=True),
        global_repo: str = typer.Option("", "--repo", hidden=True),
        global_json: bool = typer.Option(False, "--json", hidden=True),
        global_quiet: bool = typer.Option(False, "--quiet", hidden=True),
        global_verbose: bool = typer.Option(False, "--verbose", hidden=True),
    ) -> None:
        """The options of every command."""

    # Under PEP 563 the annotations are text, and this function's names are not found in it.
    show_help.__annotations__ = {"ctx": typer.Context, "wanted": bool}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(add_help_option=False)(options)
    params: list[Any] = get_command(app).params
    return params
