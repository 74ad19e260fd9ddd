"""Wrong usage, told the same way whoever noticed it: Typer's parser, the walk through the tree, or a command.

Source: spec/decisions.md "The command line, everywhere".
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from thrum_kernel.errors import UsageError

if TYPE_CHECKING:
    from thrum_kernel.cli.command import Group


def unknown_flag(name: str, path: str, known: Iterable[str]) -> UsageError:
    """``unknown flag: --x`` or ``unknown shorthand flag: 'x'``, with the options most like it."""
    if not name.startswith("--"):
        return UsageError(f"unknown shorthand flag: '{name[1:2]}'", hint=_see(path))
    near = difflib.get_close_matches(
        name, [option for option in known if option.startswith("--")], cutoff=0.7
    )
    return UsageError(
        f"unknown flag: {name}", hint=f"did you mean {' or '.join(near)}?" if near else _see(path)
    )


def unknown_command(word: str, path: str, group: Group, *, absent: str = "") -> UsageError:
    """``unknown command "x" for "thrum message"``, with why it is not there, or the commands most like it."""
    if absent:
        return UsageError(f'unknown command "{word}" for "{path}"', hint=absent)
    visible = [name for name, entry in group.members.items() if not entry.hidden]
    near = difflib.get_close_matches(word, [*visible, *group.aliases])
    hint = f"did you mean {' or '.join(f'{path} {name}' for name in near)}?" if near else _see(path)
    return UsageError(f'unknown command "{word}" for "{path}"', hint=hint)


def missing_command(path: str) -> UsageError:
    """A group alone, where one JSON value is wanted: its help is none."""
    return UsageError(f'"{path}" needs a command', hint=_see(path))


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn the parser's own errors into ours, for the command *path*."""
    import typer

    # The class above is the UsageError of whichever click this Typer brings.
    base: type[Exception] = typer.BadParameter.__mro__[1]
    try:
        yield
    except base as error:
        raise _translate(error, path) from None


def _translate(error: Any, path: str) -> UsageError:
    kind = type(error).__name__
    if kind == "NoSuchOption":
        return unknown_flag(error.option_name, path, _options(error.ctx))
    if kind == "MissingParameter":
        if error.param is not None and error.param.param_type_name == "option":
            return UsageError(f"required flag {_flag(error)} not set", hint=_see(path))
        name = error.param.display_name_raw if error.param is not None else ""
        return UsageError(f"missing argument: {name.upper()}", hint=_see(path))
    if kind == "BadOptionUsage":
        if "requires" in error.message:
            return UsageError(f"flag needs an argument: {error.option_name}", hint=_see(path))
        return UsageError(f"flag takes no argument: {error.option_name}", hint=_see(path))
    if kind == "BadParameter":
        return UsageError(f"invalid value for {_flag(error)}: {_reason(error.message)}", hint=_see(path))
    extra = re.fullmatch(r"Got unexpected extra arguments? ?(?:\(s\) )?\((.*)\)", error.message, re.DOTALL)
    if extra:
        return UsageError(f"unexpected argument: {extra[1]}", hint=_see(path))
    message = error.format_message().rstrip(".")
    return UsageError(message[:1].lower() + message[1:], hint=_see(path))


def _reason(message: str) -> str:
    if "valid integer" in message:
        return "not a whole number"
    if "valid number" in message:
        return "not a number"
    return message.rstrip(".")


def _flag(error: Any) -> str:
    if error.param is None:
        return str(error.param_hint or "argument")
    if error.param.param_type_name == "option":
        return str(max(error.param.opts, key=len))
    return str(error.param.display_name_raw).upper()


def _options(ctx: Any) -> list[str]:
    if ctx is None:
        return []
    return [option for param in ctx.command.params for option in param.opts if option.startswith("--")]


def _see(path: str) -> str:
    return f"{path} --help"
