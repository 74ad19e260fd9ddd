"""What looks like a credential in a line: patterns that are data, and a scan that is cheap where there is nothing.

Most lines have no long word at all, and nothing else is done. Else each pattern's literals are looked for in the long
words, and only where one is found the pattern's regex is searched in the text. Registrations, sessions,
receipts, deletions and purges are not looked at: everything else that an agent wrote may be held back, as whatever
depends on it waits for it (DESIGN.md D2), but these must reach every clone.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, NamedTuple

import msgspec

from thrum_kernel.jsonlines import decoder
from thrum_kernel.settings.bounded_regex import compile_bounded, found_in, steps_of

NEVER_HELD: Final = frozenset(
    {
        "agent.register",
        "agent.cleanup",
        "agent.move",
        "agent.session.start",
        "agent.session.end",
        "message.delete",
        "message.receipt",
        "purge.executed",
    }
)
"""Types that travel whatever they say: holding one back would undo what it is for."""

SHORTEST: Final = 10
"""Characters of the shortest word that is looked at: ``-----BEGIN``, or an address with a password."""

_BEFORE: Final = 40
"""Characters in front of a match that an excerpt shows."""

_MARK: Final = "¦"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of credential.

    Attributes:
        id: stays; told to people.
        description: what it is.
        regex: finds it; group 1, where there is one, is what is judged by its entropy.
        literals: one of these is in every match, in a word of `SHORTEST` characters, in lower case; none: the regex is
            always tried.
        is_beside: a literal may stand in another word than the value, which is a long word and has a digit.
        entropy: bits a character that the value must have at least; it must then hold a letter and a digit too.
        examples, others: texts that match, and such that do not.
    """

    id: str
    description: str
    regex: re.Pattern[str]
    literals: tuple[str, ...] = ()
    is_beside: bool = False
    entropy: float = 0.0
    examples: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def search(self, text: str) -> Iterator[re.Match[str]]:
        """Its matches in a text that look random enough."""
        return (match for match in found_in(self.regex, text) if self._is_random(match))

    def _is_random(self, match: re.Match[str]) -> bool:
        if not self.entropy:
            return True
        value = match[1] if match.re.groups else match[0]
        has_both = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
        return has_both and entropy(value) >= self.entropy


class Found(NamedTuple):
    """A credential: what kind, and where it begins in which text."""

    pattern: str
    text: str
    start: int


class Scanner:
    """Looks for credentials in lines of the log.

    Args:
        patterns: of several with one id the last counts.
        allowed: what is no secret although a pattern fits: searched in each match.
    """

    def __init__(self, patterns: Iterable[Pattern], *, allowed: Sequence[re.Pattern[str]] = ()) -> None:
        self.patterns = tuple({pattern.id: pattern for pattern in patterns}.values())
        self._allowed = tuple(allowed)
        always = (pattern.regex.pattern for pattern in self.patterns if not pattern.literals)
        self._steps = sum(map(steps_of, always))

    def work(self, size: int) -> int:
        """Steps that the patterns which are always tried, a team's own, may need for a text of *size* bytes."""
        return self._steps * size

    def matched(self, line: bytes) -> tuple[str, ...]:
        """Ids of the patterns that fit somewhere in a line; none for lines that are never held back."""
        return self.matched_in(texts_of(line))

    def matched_in(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Ids of the patterns that fit somewhere in *texts*."""
        found: dict[str, None] = {}
        for text in texts:
            for pattern in self._likely(text):
                if pattern.id not in found and any(True for _ in self._matches(pattern, text)):
                    found[pattern.id] = None
        return tuple(found)

    def excerpt(self, line: bytes) -> str:
        """What stands in front of the first credential of a line, with the pattern's id in its place.

        Nothing behind it is shown, since a pattern may fit only the beginning of a secret.
        """
        firsts = [found for found in map(self._first, texts_of(line)) if found is not None]
        if not firsts:
            return ""
        pattern, text, start = firsts[0]
        before = " ".join(text[max(0, start - _BEFORE) : start].split())
        return f"{'…' if start > _BEFORE else ''}{before} [{pattern}]…".strip()

    def _first(self, text: str) -> Found | None:
        found = [Found(p.id, text, m.start()) for p in self.patterns for m in self._matches(p, text)]
        return min(found, key=lambda each: each.start, default=None)

    def _matches(self, pattern: Pattern, text: str) -> Iterator[re.Match[str]]:
        for match in pattern.search(text):
            if not any(allowed.search(match[0]) for allowed in self._allowed):
                yield match

    def _likely(self, text: str) -> list[Pattern]:
        """The patterns worth trying. Long words are few, and every credential is one or has one."""
        long = " ".join([word for word in text.split() if len(word) >= SHORTEST]).lower()
        if not long:
            return [pattern for pattern in self.patterns if not pattern.literals]
        where = {False: long, True: text.lower() if any(map(str.isdigit, long)) else ""}
        return [
            pattern
            for pattern in self.patterns
            if not pattern.literals
            or any(literal in where[pattern.is_beside] for literal in pattern.literals)
        ]


def entropy(text: str) -> float:
    """Shannon entropy of a text's characters, in bits a character."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values())


@cache
def shipped() -> tuple[Pattern, ...]:
    """The patterns that come with the program.

    Raises:
        ValueError: the file is damaged.
    """
    data = resources.files(__package__).joinpath("secrets.toml").read_text(encoding="utf-8")
    return tuple(_pattern(entry) for entry in tomllib.loads(data)["pattern"])


def _pattern(entry: dict[str, Any]) -> Pattern:
    return Pattern(
        id=entry["id"],
        description=entry["description"],
        regex=compile_bounded(entry["regex"]),
        literals=tuple(entry["literals"]),
        is_beside=entry.get("beside", False),
        entropy=float(entry.get("entropy", 0)),
        examples=tuple(text.replace(_MARK, "") for text in entry["examples"]),
        others=tuple(text.replace(_MARK, "") for text in entry["others"]),
    )


class _Body(msgspec.Struct):
    content: Any = ""
    structured: Any = None


class _Said(msgspec.Struct):
    type: str = ""
    body: _Body = msgspec.field(default_factory=_Body)
    scopes: Any = ()
    refs: Any = ()


_decode = decoder(_Said)
_decode_any = decoder(object)


def texts_of(line: bytes) -> Iterable[str]:
    """Every text in a line that may be held back; of messages only where their sender could write."""
    try:
        said = _decode(line)
    except msgspec.MsgspecError:
        return _strings_of(line)
    if said.type in NEVER_HELD:
        return ()
    if said.type not in ("message.create", "message.edit"):
        return _strings_of(line)
    if said.body.structured is None and not said.scopes and not said.refs:
        return (said.body.content,)
    return (*_strings([said.body.content, said.scopes, said.refs]), *_named(said.body.structured))


def _strings_of(line: bytes) -> Iterator[str]:
    try:
        return _strings(_decode_any(line))
    except msgspec.MsgspecError:
        return iter((line.decode(errors="replace"),))


def _strings(value: Any) -> Iterator[str]:
    """Every text in a value, in its order; nesting of any depth."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            waiting.extend(reversed(found.values()))
        elif isinstance(found, list):
            waiting.extend(reversed(found))


def _named(value: Any) -> Iterator[str]:
    """Texts of a structured body, those of objects with their names in front, as ``name=text``."""
    waiting = [("", value)]
    while waiting:
        name, found = waiting.pop()
        if isinstance(found, str):
            yield f"{name}{found}"
        elif isinstance(found, dict):
            waiting.extend((f"{key}=", inner) for key, inner in reversed(found.items()))
        elif isinstance(found, list):
            waiting.extend(("", inner) for inner in reversed(found))
