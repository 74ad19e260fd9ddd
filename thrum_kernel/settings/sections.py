"""Which keys config.json may hold: the kernel registers its sections here, and plugins theirs, by the same door."""

from __future__ import annotations

import copy
import difflib
import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from thrum_kernel.errors import UsageError


class SectionModel(BaseModel):
    """Base of the sections' types: frozen, keys it does not know are kept and told as mistakes."""

    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True, validate_default=False)


@dataclass(frozen=True)
class Section:
    """A top-level key of config.json.

    Attributes:
        name: the key.
        model: what its value must be: a `pydantic.BaseModel` for an object of keys, or any type pydantic knows.
        default: its value when absent, for a type that is no model.
        owner: the plugin that registered it.
        claimable: a plugin may register it anew with its own model.
        read_only: written by the daemon only.
        open: keys that its model does not know are welcome.
        overlay: name of a file beside the daemon's own that holds values for this machine alone, above config.json;
            only for an object of keys.
    """

    name: str
    model: Any
    default: Any = None
    owner: str = ""
    claimable: bool = False
    read_only: bool = False
    open: bool = False
    overlay: str = ""

    @property
    def is_object(self) -> bool:
        """Whether it has keys of its own."""
        return isinstance(self.model, type) and issubclass(self.model, BaseModel)

    @property
    def keys(self) -> list[str]:
        """Its known dotted keys; its own name when it holds one value."""
        return _leaves(self.name, self.model) if self.is_object else [self.name]

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.model)

    def validated(self, value: Any) -> Any:
        """The section's value as its type says.

        Raises:
            ValidationError: it does not fit.
        """
        return self.adapter.validate_python(value)

    def absent(self) -> Any:
        """Its value when config.json does not have it."""
        return self.model() if self.is_object else self.default


UNKNOWN: Final = "unknown key"


class Absent(enum.Enum):
    """There is no such value; unlike ``object()`` it stays itself when copied."""

    ABSENT = enum.auto()


ABSENT: Final = Absent.ABSENT


@dataclass
class Sections:
    """What is registered, in order of registration."""

    _sections: dict[str, Section] = field(default_factory=dict)

    def register(self, section: Section) -> None:
        """Add a section.

        Raises:
            UsageError: another plugin has it; both are named.
        """
        known = self._sections.get(section.name)
        if known is not None and not (known.claimable and section.owner != known.owner):
            raise UsageError(
                f'settings section "{section.name}" of {section.owner or "a plugin"} is already claimed by {known.owner}'
            )
        self._sections[section.name] = section

    def remove(self, name: str, *, owner: str) -> None:
        """Take back what *owner* registered."""
        known = self._sections.get(name)
        if known is not None and known.owner == owner:
            del self._sections[name]

    def get(self, name: str) -> Section | None:
        return self._sections.get(name)

    def __iter__(self) -> Iterator[Section]:
        return iter(tuple(self._sections.values()))

    def known_keys(self) -> list[str]:
        """Every known dotted key that holds a value, e.g. ``daemon.sync.enabled``."""
        found: list[str] = []
        for section in self:
            found += self.keys_of(section)
        return found

    def check_key(self, dotted: str) -> Section:
        """The section of a key that may be set.

        Raises:
            UsageError: nobody knows the key (near ones are offered), it is no single value, or the daemon writes it.
        """
        name, _, rest = dotted.partition(".")
        section = self._sections.get(name)
        if section is None:
            raise self.unknown(dotted)
        if section.read_only:
            raise UsageError(f'"{dotted}" is written by the daemon and cannot be set')
        if not section.is_object:
            if rest:
                raise UsageError(
                    f'unknown setting "{dotted}": {name} holds one value', hint=f"did you mean {name}?"
                )
            return section
        if not rest:
            raise UsageError(
                f'"{dotted}" is a section',
                hint=f"set one of its keys, e.g. {next(iter(self.keys_of(section)), name)}",
            )
        if dotted not in self.keys_of(section) and not (section.open or _is_free(section.model, rest)):
            raise self.unknown(dotted)
        return section

    def near(self, dotted: str) -> list[str]:
        """Known keys that resemble *dotted*, best first."""
        known = self.known_keys()
        found = difflib.get_close_matches(dotted, known, n=3, cutoff=0.7)
        last = dotted.rpartition(".")[2]
        return found or [key for key in known if key.rpartition(".")[2] == last][:3]

    def unknown(self, dotted: str) -> UsageError:
        """The error for a key that nobody knows."""
        found = self.near(dotted)
        hint = f"did you mean {' or '.join(found)}?" if found else "`thrum config show` lists what there is"
        return UsageError(f'unknown setting "{dotted}"', hint=hint)

    def keys_of(self, section: Section) -> list[str]:
        """The known dotted keys of one section; itself when it holds one value."""
        return section.keys


def mistakes(section: Section, value: Any) -> list[tuple[str, str]]:
    """What is wrong with a section's value: dotted keys with one sentence each; all of it at once."""
    try:
        found = section.validated(value)
    except ValidationError as error:
        wrong = [(_dotted(section.name, detail["loc"]), _sentence(detail)) for detail in error.errors()]
        try:
            found = section.validated(without(value, wrong))
        except ValidationError:
            return wrong
        return wrong + _unknown_in(section, found)
    return _unknown_in(section, found)


def without(value: Any, wrong: Iterable[tuple[str, str]]) -> Any:
    """A copy of a section's value that lacks what is mistaken in it."""
    rest = copy.deepcopy(value)
    for key, _ in wrong:
        drop(rest, key.partition("[")[0].split(".")[1:])
    return rest


def _unknown_in(section: Section, found: Any) -> list[tuple[str, str]]:
    return [] if section.open else [(key, UNKNOWN) for key in _unknown(section.name, found)]


def hinder(section: Section, value: Any) -> bool:
    """Whether a value has mistakes that keep it from being used; unknown keys do not."""
    return any(text != UNKNOWN for _, text in mistakes(section, value))


def overlap(one: str, other: str) -> bool:
    """Whether one dotted key is the other or lies below it."""
    first, second = (key.partition("[")[0] + "." for key in (one, other))
    return first.startswith(second) or second.startswith(first)


def lookup(value: Any, path: list[str]) -> Any:
    """The value below *value* at *path*, through mappings and models; `ABSENT` when there is none."""
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part, ABSENT)
        elif isinstance(value, BaseModel):
            value = getattr(value, part, (value.model_extra or {}).get(part, ABSENT))
        else:
            return ABSENT
        if value is ABSENT:
            return ABSENT
    return value


def place(holder: dict[str, Any], path: list[str], value: Any) -> None:
    """Put *value* at *path*, making objects on the way.

    Raises:
        KeyError: something on the way is no object; names it.
    """
    for part in path[:-1]:
        inner = holder.setdefault(part, {})
        if not isinstance(inner, dict):
            raise KeyError(part)
        holder = inner
    holder[path[-1]] = value


def drop(holder: Any, path: list[str]) -> None:
    """Remove what is at *path*, if anything is."""
    for part in path[:-1]:
        holder = holder.get(part) if isinstance(holder, dict) else None
    if isinstance(holder, dict) and path:
        holder.pop(path[-1], None)


def plain(value: Any) -> Any:
    """*value* as JSON knows it."""
    return to_jsonable_python(value)


def _leaves(prefix: str, model: type[BaseModel]) -> list[str]:
    found: list[str] = []
    for name, info in model.model_fields.items():
        inner: Any = info.annotation
        key = f"{prefix}.{info.alias or name}"
        is_model = isinstance(inner, type) and issubclass(inner, BaseModel)
        found += _leaves(key, inner) if is_model else [key]
    return found


def _is_free(model: type[BaseModel], rest: str) -> bool:
    """Whether *rest* leads into a field that is a table of anything."""
    head, _, below = rest.partition(".")
    info = model.model_fields.get(head)
    if info is None or not below:
        return False
    inner = info.annotation
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return _is_free(inner, below)
    return getattr(inner, "__origin__", inner) in (dict, Mapping)


def _unknown(prefix: str, value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{prefix}.{name}"
        for name in type(value).model_fields:
            yield from _unknown(f"{prefix}.{name}", getattr(value, name))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _unknown(f"{prefix}[{number}]", entry)


def _dotted(name: str, location: tuple[int | str, ...]) -> str:
    return name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _sentence(detail: Any) -> str:
    text = str(detail["msg"]).removeprefix("Value error, ")
    given = detail.get("input")
    shown = (
        f", not {given!r}" if isinstance(given, str | int | float | bool) and len(str(given)) <= 60 else ""
    )
    return f"{text[:1].lower()}{text[1:]}{shown}"
