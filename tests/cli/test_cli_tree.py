"""The tree of commands: where words lead, options anywhere, wrong usage told plainly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from cli_daemon import tree

from thrum_kernel.api import Invocation
from thrum_kernel.cli.app import Tree, build, kernel_tree
from thrum_kernel.cli.command import Group, Run, command, group, refuse_together, run_of
from thrum_kernel.cli.output import Output
from thrum_kernel.cli.running import step
from thrum_kernel.errors import UsageError


def run(words: tuple[str, ...], commands: Tree | None = None) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command that asks nobody."""
    commands = commands or tree()
    written: dict[int, bytes] = {1: b"", 2: b""}

    def sink(descriptor: int, data: bytes) -> None:
        written[descriptor] += data

    def nobody(path: str | None, max_bytes: int) -> bytes:
        raise AssertionError("no input is there")

    out = Output(sink)
    one = Run(Invocation(argv=words, cwd=Path("/")), api=Mute(), out=out, tree=commands, read=nobody)
    status = step(lambda: commands.run(commands.find(words), one), out)
    assert isinstance(status, int)
    return status, written[1].decode(), written[2].decode()


class Mute:
    def call(self, method: str, /, **params: Any) -> Any:
        raise AssertionError(f"{method} was called")


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("send", "--bogus"), "unknown flag: --bogus", ""),
        (("send", "--bdy-file", "x"), "unknown flag: --bdy-file", "did you mean --body-file?"),
        (("team", "--al", "local"), "unknown flag: --al", "did you mean --all?"),
        (("--all", "team"), "unknown flag: --all", ""),
        (("send", "-xyz"), "unknown shorthand flag: 'x'", "thrum send --help"),
        (("send", "-1x"), "unknown shorthand flag: '1'", "thrum send --help"),
        (("send", "-1", "-2"), "unexpected argument: -2", "thrum send --help"),
        (("send", "--to"), "flag needs an argument: --to", "thrum send --help"),
        (("send", "--stdin=yes"), "flag takes no argument: --stdin", "thrum send --help"),
        (("send", "one", "two"), "unexpected argument: two", "thrum send --help"),
        (("noisy", "many"), "invalid value for LINES: not a whole number", "thrum noisy --help"),
        (("inbox", "-n", "x"), "invalid value for --times: not a whole number", "thrum inbox --help"),
        (("completion",), "missing argument: BASH|ZSH|FISH|POWERSHELL", "thrum completion --help"),
        (("sned",), 'unknown command "sned" for "thrum"', "did you mean thrum send?"),
        (("--json",), '"thrum" needs a command', "thrum --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_usage_is_one_line_with_a_hint(words: tuple[str, ...], error: str, hint: str) -> None:
    status, out, err = run(words) if words[0] not in ("sned", "--all", "team") else _refused(words)

    assert (status, out) == (1, "")
    assert err.splitlines()[0] == f"Error: {error}"
    assert not hint or err.splitlines()[1] == f"Hint: {hint}"


def _refused(words: tuple[str, ...]) -> tuple[int, str, str]:
    with pytest.raises(UsageError) as caught:
        tree().find(words)
    return 1, "", f"Error: {caught.value}\nHint: {caught.value.hint}"


@pytest.mark.parametrize(
    "words",
    [
        ("--json", "--role", "r", "--module=m", "where"),
        ("where", "--json", "--role=r", "--module", "m"),
        ("--role", "r", "where", "--module", "m", "--json"),
    ],
)
def test_global_options_count_before_and_after_the_command(words: tuple[str, ...]) -> None:
    seen: list[Invocation] = []

    def register(root: Group) -> None:
        @command(root, "where")
        def where(ctx: typer.Context) -> None:
            seen.append(run_of(ctx).inv)

    run(words, build((register,)))

    assert (seen[0].as_json, seen[0].role, seen[0].module, seen[0].quiet) == (True, "r", "m", False)


def test_an_option_of_the_command_wins_over_the_global_one() -> None:
    def register(root: Group) -> None:
        @command(root, "create")
        def create(ctx: typer.Context, role: Annotated[str, typer.Option("--role")] = "") -> None:
            run_of(ctx).out.line(f"{role}/{run_of(ctx).inv.role}")

    assert run(("create", "--role", "own"), build((register,)))[1] == "own/\n"


def test_options_may_come_before_the_sub_command() -> None:
    assert run(("team", "-a", "local"))[1] == "local True\n"
    assert run(("team", "--all"))[1] == "team True\n"
    assert run(("team", "here"))[1] == "local False\n"


def test_words_after_dashes_are_no_options() -> None:
    found = tree().find(("send", "--", "--json", "-h"))

    assert not found.wants_help
    assert found.args == ("--", "--json", "-h")


def test_arguments_of_one_run_never_reach_another() -> None:
    commands = tree()

    first = run(("team", "--all"), commands)
    second = run(("team",), commands)

    assert (first[1], second[1]) == ("team True\n", "team False\n")


@pytest.mark.parametrize("words", [("send", "-h"), ("send", "--help", "--bogus-value"), ("--help", "send")])
def test_help_is_local(words: tuple[str, ...]) -> None:
    assert tree().find(words).is_local


def test_help_of_a_command_names_its_options_and_the_global_ones() -> None:
    status, out, _ = run(("send", "--help"))

    assert status == 0
    assert "--body-file" in out
    assert out.count("--json") == 1
    assert "╭" not in out


def test_help_of_a_group_lists_its_commands() -> None:
    _, out, _ = run(("help", "team"))

    assert "Usage: thrum team COMMAND" in out
    assert "local  Show the team of this machine" in out


def test_help_about_what_is_not_there_is_an_error() -> None:
    status, out, err = run(("help", "sned"))

    assert (status, out) == (1, "")
    assert err.startswith('Error: unknown command "sned" for "thrum"\nHint: ')


def test_a_group_alone_shows_its_help() -> None:
    commands = kernel_tree()
    shown = run(("message",), commands)
    assert shown[0] == 0 and shown == run(("help", "message"), commands)
    assert shown == run(("message", "--json", "-h"), commands)
    told = 'Error: "thrum message" needs a command\nHint: thrum message --help\n'
    assert run(("--json", "message"), commands) == run(("message", "--json"), commands) == (1, "", told)


def test_hidden_commands_are_not_listed() -> None:
    assert "__complete" not in run(())[1]


def test_one_word_cannot_be_two_commands() -> None:
    def again(root: Group) -> None:
        command(root, "send")(lambda: None)

    with pytest.raises(UsageError, match='"send" is defined twice'):
        build((lambda root: command(root, "send")(lambda: None), again))


def test_commands_can_be_added_below_a_noun_and_taken_away_again() -> None:
    commands = tree()
    noun = group(commands.root, "team", help="ignored: it is there")

    command(noun, "extra")(_extra)

    assert run(("team", "extra"), commands)[1] == "extra\n"
    noun.remove("extra")
    assert noun.find("extra") is None


def _extra(ctx: typer.Context) -> None:
    """Something more."""
    run_of(ctx).out.line("extra")


def test_a_command_named_by_path_is_imported_when_it_runs() -> None:
    from thrum_kernel.cli.command import Command

    commands = build(())
    commands.root.add(Command("show", "thrum_kernel.cli.builtin:show_help", help="Lazy"))

    assert "show  Lazy" in run((), commands)[1]
    assert "thrum" in run(("show",), commands)[1]


def test_excluding_options_are_named() -> None:
    refuse_together(to="", broadcast=True)
    with pytest.raises(UsageError, match="--to and --body-file are mutually exclusive"):
        refuse_together(to="bob", body_file="x", stdin=False)
