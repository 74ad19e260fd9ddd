"""The language of role templates: the part of Go's text/template that they use.

``{{.Field}}``; ``{{if .Field}} … {{else if .Field}} … {{else}} … {{end}}``, nested as deep as one likes (a field is
true when it is not empty); ``{{/* comments */}}``; ``{{-`` and ``-}}`` take the blanks on their side away. Anything
else is refused with its line: a template that is half understood would tell an agent half of its role.

Source: spec/features.md §12.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from thrum_kernel.errors import UsageError

FIELDS: Final = ("AgentName", "Role", "Module", "WorktreePath", "RepoRoot", "CoordinatorName")

_ACTION: Final = re.compile(r"\{\{(?P<before>-(?=\s))?(?P<body>.*?)(?P<after>(?<=\s)-)?\}\}", re.DOTALL)
_COMMENT: Final = re.compile(r"/\*.*\*/", re.DOTALL)
_FIELD: Final = re.compile(r"\.([A-Za-z_]\w*)")
_IF: Final = re.compile(r"(else\s+)?if\s+(.*)", re.DOTALL)


class TemplateInvalid(UsageError):
    """A template says something that this language does not have.

    Attributes:
        line: where, from 1.
        reason: one sentence without the line.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(
            f"line {line}: {reason}", hint=f"fields: {', '.join(FIELDS)}; {{{{if .X}}}}, else, end"
        )
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _If:
    """One ``if``, with what stands before and after its ``else``."""

    name: str
    line: int
    then: list[_Part] = field(default_factory=list)
    otherwise: list[_Part] = field(default_factory=list)
    is_chained: bool = False
    """It began with ``else if`` and ends with the ``if`` that it belongs to."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str


_Part = str | _Field | _If


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was understood."""

    parts: list[_Part]

    def render(self, fields: Mapping[str, str]) -> str:
        """Its text.

        Args:
            fields: a value for each of `FIELDS`; a missing one is empty.
        """
        return "".join(_rendered(self.parts, fields))


def parse(text: str, *, first_line: int = 1) -> Template:
    """Understand a template.

    Args:
        first_line: the number of *text*'s first line in its file.

    Raises:
        TemplateInvalid: it is not of this language; names the line.
    """
    return _Parser(text, first_line).run()


class _Parser:
    def __init__(self, text: str, first_line: int) -> None:
        self._text = text
        self._first_line = first_line
        self._parts: list[_Part] = []
        self._open: list[_If] = []
        self._here = self._parts
        """Where the next part goes."""
        self._in_else: set[int] = set()
        """Which of the open ones, by depth, have had their ``else``."""

    def run(self) -> Template:
        end, trims = 0, False
        for match in _ACTION.finditer(self._text):
            self._add_text(
                self._text[end : match.start()], match.start(), left=trims, right=bool(match["before"])
            )
            self._act(match["body"].strip(), self._line(match.start()))
            end, trims = match.end(), bool(match["after"])
        rest = self._text[end:]
        if "{{" in rest:
            raise TemplateInvalid(self._line(end + rest.index("{{")), "{{ is never closed")
        self._add_text(rest, len(self._text), left=trims, right=False)
        if self._open:
            raise TemplateInvalid(
                self._open[-1].line, f"{{{{if .{self._open[-1].name}}}}} has no {{{{end}}}}"
            )
        return Template(self._parts)

    def _act(self, action: str, line: int) -> None:
        if _COMMENT.fullmatch(action):
            return
        branch = _IF.fullmatch(action)
        if branch is not None:
            self._begin(self._name(branch[2].strip(), line, action), line, chained=bool(branch[1]))
        elif action == "else":
            self._else(line)
        elif action == "end":
            self._end(line)
        else:
            self._here.append(_Field(self._name(action, line, action)))

    def _begin(self, name: str, line: int, *, chained: bool) -> None:
        if chained:
            self._else(line)
        made = _If(name, line, is_chained=chained)
        self._here.append(made)
        self._open.append(made)
        self._here = made.then

    def _else(self, line: int) -> None:
        if not self._open:
            raise TemplateInvalid(line, "{{else}} without an {{if}}")
        if len(self._open) in self._in_else:
            raise TemplateInvalid(line, "a second {{else}} for one {{if}}")
        self._in_else.add(len(self._open))
        self._here = self._open[-1].otherwise

    def _end(self, line: int) -> None:
        if not self._open:
            raise TemplateInvalid(line, "{{end}} without an {{if}}")
        while True:
            self._in_else.discard(len(self._open))
            if not self._open.pop().is_chained:
                break
        if not self._open:
            self._here = self._parts
        else:
            is_else = len(self._open) in self._in_else
            self._here = self._open[-1].otherwise if is_else else self._open[-1].then

    def _name(self, word: str, line: int, action: str) -> str:
        found = _FIELD.fullmatch(word)
        if found is None:
            raise TemplateInvalid(line, f"{{{{{_short(action)}}}}} is not understood")
        if found[1] not in FIELDS:
            raise TemplateInvalid(line, f"there is no field .{found[1]}")
        return found[1]

    def _add_text(self, text: str, end: int, *, left: bool, right: bool) -> None:
        stray = text.find("}}")
        if stray >= 0:
            raise TemplateInvalid(self._line(end - len(text) + stray), "}} without {{")
        text = text.lstrip() if left else text
        text = text.rstrip() if right else text
        if text:
            self._here.append(text)

    def _line(self, offset: int) -> int:
        return self._first_line + self._text.count("\n", 0, offset)


def _rendered(parts: list[_Part], fields: Mapping[str, str]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(part, _Field):
            yield fields.get(part.name, "")
        else:
            yield from _rendered(part.then if fields.get(part.name) else part.otherwise, fields)


def _short(action: str) -> str:
    line = " ".join(action.split())
    return line if len(line) <= 40 else f"{line[:39]}…"
