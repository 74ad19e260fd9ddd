"""``rpc.describe``: every method with JSON Schemas of its parameters and result, for people and for generators."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from thrum_kernel.api import Call, Method

_MAX_KNOWN = 8
_TEMPLATE = "#/$defs/{name}"


class DescribeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to describe.

    Attributes:
        method: one method's name; every method when empty.
    """

    method: str = ""


class MethodDescription(msgspec.Struct, kw_only=True):
    """One method. ``params`` and ``result`` are JSON Schemas whose references point into ``$defs``."""

    name: str
    summary: str
    description: str
    mutates: bool
    anonymous: bool
    long_poll: bool
    while_projecting: bool
    mcp: bool
    transports: list[str]
    params: dict[str, Any]
    result: dict[str, Any]


class Description(msgspec.Struct, kw_only=True):
    """The methods in order of their names, and the schemas they share."""

    jsonrpc: str
    methods: list[MethodDescription]
    defs: dict[str, Any] = msgspec.field(name="$defs")


class HasMethods(Protocol):
    """Whatever knows the methods."""

    @property
    def methods(self) -> Mapping[str, Method]: ...


def describe(methods: Mapping[str, Method], only: str = "") -> Description:
    """The description of *methods*, or of the one named *only*."""
    chosen = [methods[name] for name in sorted(methods) if only in ("", name)]
    types = [_sayable(part) for method in chosen for part in (method.params, method.result)]
    schemas, defs = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    listed = [
        _describe_one(method, params, result)
        for method, params, result in zip(chosen, schemas[::2], schemas[1::2], strict=True)
    ]
    return Description(jsonrpc="2.0", methods=listed, defs=defs)


def describe_method(source: HasMethods) -> Method:
    """The method ``rpc.describe`` over the methods of *source*."""
    known: dict[tuple[str, tuple[Method, ...]], Description] = {}

    def described(call: Call, params: DescribeParams) -> Description:
        """Schemas take tens of milliseconds to make, and change only with the methods."""
        methods = source.methods
        key = params.method, tuple(methods.values())
        if key not in known:
            if len(known) >= _MAX_KNOWN:
                known.clear()
            known[key] = describe(methods, params.method)
        return known[key]

    return Method(
        name="rpc.describe",
        params=DescribeParams,
        result=Description,
        handler=described,
        summary="List the methods with JSON Schemas of their parameters and results.",
        anonymous=True,
        while_projecting=True,
    )


def _describe_one(method: Method, params: dict[str, Any], result: dict[str, Any]) -> MethodDescription:
    return MethodDescription(
        name=method.name,
        summary=method.summary,
        description=inspect.getdoc(method.params) or "",
        mutates=method.mutates,
        anonymous=method.anonymous,
        long_poll=method.long_poll,
        while_projecting=method.while_projecting,
        mcp=method.mcp,
        transports=sorted(method.transports),
        params=params,
        result=result,
    )


def _sayable(result: Any) -> Any:
    """*result*, or Any where it has no schema: one plugin's odd type must not hide every other method."""
    if result is None:
        return Any
    try:
        msgspec.json.schema(result)
    except TypeError:
        return Any
    return result
