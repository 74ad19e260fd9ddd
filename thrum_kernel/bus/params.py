"""Parameters of a method from their JSON, with errors that name the parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from thrum_kernel.errors import ParamsInvalid

_MISSING: Final = re.compile(
    r"Object missing required field `(?P<name>[^`]*)`(?: - at `\$\.?(?P<path>[^`]*)`)?"
)
_UNKNOWN: Final = re.compile(
    r"Object contains unknown field `(?P<name>[^`]*)`(?: - at `\$\.?(?P<path>[^`]*)`)?"
)
_LENGTH: Final = re.compile(r"Expected `str` of length <= (?P<most>\d+) - at `\$\.?(?P<path>[^`]*)`")
_AT: Final = re.compile(r"(?P<reason>.*) - at `\$\.?(?P<path>[^`]*)`", re.DOTALL)

MAX_REASON: Final = 200
"""Characters of a reason, which may repeat a value."""


class ParamsReader:
    """Reads the parameters of one method into its Struct."""

    def __init__(self, params: type[Any]) -> None:
        self._type = params
        self._decode = msgspec.json.Decoder(params).decode

    def from_json(self, raw: msgspec.Raw) -> Any:
        """The parameters in *raw*; absent and null are an empty object.

        Raises:
            ParamsInvalid: they are not of the shape that the method asks for; names the parameter.
        """
        try:
            return self._decode(raw) if raw else self._decode(b"{}")
        except msgspec.ValidationError as error:
            if bytes(raw) == b"null":
                return self.from_json(msgspec.Raw(b"{}"))
            raise ParamsInvalid(explain(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ParamsInvalid(f"parameters cannot be read: {error}") from None

    def from_mapping(self, values: Mapping[str, Any]) -> Any:
        """The parameters in *values*, plain Python values.

        Raises:
            ParamsInvalid: as above.
        """
        try:
            return msgspec.convert(dict(values), self._type)
        except msgspec.ValidationError as error:
            raise ParamsInvalid(explain(str(error))) from None


def explain(reason: str) -> str:
    """A sentence of msgspec as one that a person typing parameters understands."""
    if match := _MISSING.fullmatch(reason):
        return f"{_join(match)} is required"
    if match := _UNKNOWN.fullmatch(reason):
        return f"unknown parameter: {_join(match)}"
    if match := _LENGTH.fullmatch(reason):
        return f"{match['path']} is too long: at most {match['most']} characters"
    if match := _AT.fullmatch(reason):
        return f"{match['path']}: {_lower(_cut(match['reason']))}"
    return f"parameters: {_lower(_cut(reason))}"


def _cut(reason: str) -> str:
    """*reason* with no more of a value in it than tells which it is."""
    return reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}…"


def _join(match: re.Match[str]) -> str:
    return f"{match['path']}.{match['name']}" if match["path"] else match["name"]


def _lower(text: str) -> str:
    return (text[:1].lower() + text[1:]).replace("`", "")
