"""Events of a type with random payloads, told from the type itself: what a projector must cope with."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from thrum_kernel.api import Event
from thrum_kernel.clock import format_us
from thrum_kernel.ids import encode_ulid, event_id

_LETTERS: Final = string.ascii_letters + string.digits + " _-@/'\"%\n\u00e9\u2713"
_ENVELOPE: Final = frozenset(Event.__struct_fields__)


class RandomEvents:
    """Makes events; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._number = 0

    def make(self, payload: type[Any]) -> Any:
        """One event of a payload type, with an id of its own."""
        info = inspect.type_info(payload)
        assert isinstance(info, inspect.StructType)
        self._number += 1
        at_us = 1_700_000_000_000_000 + self._number * 1_000
        ulid = encode_ulid((at_us // 1000) << 80 | self._random.getrandbits(80))
        values = {
            field.encode_name: self._value(field.type)
            for field in info.fields
            if field.name not in _ENVELOPE and (field.required or self._random.random() < 0.7)
        }
        envelope = {"event_id": event_id(ulid), "timestamp": format_us(at_us), "origin_daemon": "d_check"}
        tag = {"type": payload.__struct_config__.tag}
        return msgspec.convert({**tag, **envelope, **values}, payload)

    def shuffled(self, events: list[Any]) -> list[Any]:
        """The same events in another order, some of them twice."""
        again = [*events, *self._random.sample(events, len(events) // 2)]
        self._random.shuffle(again)
        return again

    def _value(self, kind: inspect.Type) -> Any:
        simple = _SIMPLE.get(type(kind))
        if simple is not None:
            return simple(self._random)
        if isinstance(kind, inspect.UnionType):
            return self._value(self._random.choice(kind.types))
        if isinstance(kind, inspect.LiteralType):
            return self._random.choice(kind.values)
        if isinstance(kind, inspect.EnumType):
            return self._random.choice(list(kind.cls)).value
        if isinstance(
            kind, inspect.ListType | inspect.SetType | inspect.FrozenSetType | inspect.VarTupleType
        ):
            return [self._value(kind.item_type) for _ in range(self._random.randrange(3))]
        if isinstance(kind, inspect.TupleType):
            return [self._value(item) for item in kind.item_types]
        if isinstance(kind, inspect.DictType):
            count = self._random.randrange(3)
            return {str(self._value(kind.key_type)): self._value(kind.value_type) for _ in range(count)}
        if isinstance(kind, inspect.StructType):
            return self._struct(kind)
        return {}  # a mapping of anything fits most of what is left

    def _struct(self, kind: inspect.StructType) -> Any:
        values: list[tuple[str, Any]] = [
            (field.encode_name, self._value(field.type)) for field in kind.fields
        ]
        if kind.array_like:
            return [value for _, value in values]
        tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
        return {**tag, **dict(values)}


def _text(chance: random.Random) -> str:
    return "".join(chance.choices(_LETTERS, k=chance.randrange(12)))


_SIMPLE: Final[Mapping[type[Any], Callable[[random.Random], Any]]] = {
    inspect.NoneType: lambda chance: None,
    inspect.BoolType: lambda chance: chance.random() < 0.5,
    inspect.IntType: lambda chance: chance.choice((0, 1, -1, chance.randrange(1 << 31))),
    inspect.FloatType: lambda chance: chance.choice((0.0, chance.uniform(-1e6, 1e6))),
    inspect.StrType: _text,
    inspect.AnyType: lambda chance: chance.choice((None, 1, "x", ["y"])),
    inspect.RawType: lambda chance: 1,
    inspect.BytesType: lambda chance: "",
    inspect.DateTimeType: lambda chance: "2026-01-01T00:00:00Z",
}
