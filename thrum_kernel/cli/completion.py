"""Completion of command lines: short scripts for each shell that ask ``thrum __complete`` for the words that fit.

The daemon answers, so a key press costs what any command costs, commands of plugins are there as soon as they are
installed, and names of agents can be completed. Without a daemon it answers in process and starts none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from thrum_kernel.cli.app import GLOBAL_OPTIONS, Tree
from thrum_kernel.cli.command import Command, Group
from thrum_kernel.cli.help import summary
from thrum_kernel.errors import UsageError

Candidate = tuple[str, str]
"""A word and what it is for."""
Agents = Callable[[], list[Candidate]]


def candidates(tree: Tree, words: Sequence[str], agents: Agents) -> list[Candidate]:
    """What the last of *words* may become; empty when it is a file or free text.

    Args:
        words: those typed after ``thrum``; the last one is being typed, and may be empty.
        agents: gives the agents' addresses, ``@name``; asked only when one is being typed.
    """
    *before, typed = words or [""]
    if typed.startswith("@"):
        found = iter(agents())
    else:
        found = _at(tree, before, typed)
    return [(word, text) for word, text in found if word.startswith(typed)]


def script(shell: str) -> str:
    """What a *shell* reads to complete ``thrum``.

    Raises:
        UsageError: there is none for it.
    """
    try:
        return _SCRIPTS[shell]
    except KeyError:
        raise UsageError(f'unknown shell "{shell}"', hint=f"one of {', '.join(_SCRIPTS)}") from None


def _at(tree: Tree, before: Sequence[str], typed: str) -> Iterator[Candidate]:
    entry, waiting = _walk(tree, before)
    if waiting is not None:
        yield from ((choice, "") for choice in _choices(waiting))
    elif isinstance(entry, Command):
        yield from _in_command(tree, entry, typed, "--" in before)
    else:
        yield from _members(entry)
        if typed.startswith("-"):
            yield from ((option, "") for option in tree.options_below(entry))


def _walk(tree: Tree, before: Sequence[str]) -> tuple[Command | Group, Any]:
    """Where the finished words lead, and the parameter whose value comes next, if one does."""
    entry: Command | Group = tree.root
    waiting = None
    for word in before:
        if waiting is not None:
            waiting = None
        elif word.startswith("-"):
            waiting = _waiting(tree, entry, word)
        elif isinstance(entry, Group):
            entry = entry.find(word) or entry.own or entry
    return entry, waiting


def _waiting(tree: Tree, entry: Command | Group, word: str) -> Any:
    if "=" in word:
        return None
    if isinstance(entry, Group):
        return _ANYTHING if tree.options_below(entry).get(word) else None
    for param in tree.params(entry):
        if param.param_type_name == "option" and word in param.opts:
            return None if param.is_flag or param.count else param
    return None


def _in_command(tree: Tree, entry: Command, typed: str, is_after_dashes: bool) -> Iterator[Candidate]:
    params = tree.params(entry)
    if typed.startswith("-") and not is_after_dashes:
        for param in params:
            if param.param_type_name == "option" and not (
                param.hidden and param.opts[0] not in GLOBAL_OPTIONS
            ):
                yield from ((option, param.help or "") for option in param.opts if option.startswith("--"))
        return
    for param in params:
        if param.param_type_name == "argument":
            yield from ((choice, "") for choice in _choices(param))


def _members(entry: Group) -> Iterator[Candidate]:
    return ((name, summary(member)) for name, member in sorted(entry.members.items()) if not member.hidden)


def _choices(param: Any) -> list[str]:
    descriptor = getattr(param, "type_descriptor", None)
    choices = getattr(descriptor, "choices", None) or ()
    return [str(getattr(choice, "value", choice)) for choice in choices]


_ANYTHING = object()

_BASH = """\
# bash completion for thrum:  eval "$(thrum completion bash)"
_thrum() {
  local line=${COMP_LINE:0:COMP_POINT} cur word
  local -a words
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cur=${words[${#words[@]}-1]}
  # bash breaks words at these marks, and wants only what comes after the last of them
  local before=${cur%"${cur##*[@:=]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    COMPREPLY+=("${word#"$before"}")
  done < <(thrum __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _thrum thrum
"""

_ZSH = """\
#compdef thrum
# zsh completion for thrum:  eval "$(thrum completion zsh)"
_thrum() {
  local line
  local -a found
  for line in "${(@f)$(thrum __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
  done
  if (( $#found )); then _describe 'thrum' found; else _files; fi
}
compdef _thrum thrum
"""

_FISH = """\
# fish completion for thrum:  thrum completion fish | source
function __thrum_complete
  set -l words (commandline -opc)
  set -l found (thrum __complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c thrum -f -a '(__thrum_complete)'
"""

_POWERSHELL = """\
# PowerShell completion for thrum:  thrum completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName thrum -ScriptBlock {
  param($typed, $command, $position)
  $words = @($command.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
  $new = if ($typed) { @() } else { @('--next') }
  thrum __complete @new -- @words 2>$null | ForEach-Object {
    $word, $text = $_ -split "`t", 2
    if (-not $text) { $text = $word }
    [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $text)
  }
}
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}
SHELLS = tuple(_SCRIPTS)
