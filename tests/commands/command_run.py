"""Runs one command against an api that records what it is asked, with nothing else around it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from method_params import PARAMS

from thrum_kernel.api import Invocation
from thrum_kernel.cli.app import Tree, kernel_tree
from thrum_kernel.cli.command import Outcome, Pending, Run
from thrum_kernel.cli.output import STDOUT, Output
from thrum_kernel.cli.running import step
from thrum_kernel.errors import MethodNotFound, ThrumError, UsageError

Answer = Any
ME = {
    "agent_id": "alice",
    "role": "implementer",
    "module": "auth",
    "session_id": "ses_A",
    "source": "peercred",
}

_tree: list[Tree] = []


def tree() -> Tree:
    """The kernel's tree, built once a test run."""
    if not _tree:
        _tree.append(kernel_tree())
    return _tree[0]


@dataclass
class FakeApi:
    """Answers from a table: a value, an error to raise, or a function of the parameters."""

    answers: Mapping[str, Answer]
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def call(self, method: str, /, **params: Any) -> Any:
        self.calls.append((method, params))
        msgspec.convert(params, PARAMS[method])
        if method not in self.answers:
            raise MethodNotFound(method)
        answer = self.answers[method]
        if isinstance(answer, ThrumError):
            raise answer
        return json.loads(json.dumps(answer(params) if isinstance(answer, Callable) else answer))  # type: ignore[arg-type]


@dataclass
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str
    calls: list[tuple[str, dict[str, Any]]]

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def params(self, method: str) -> dict[str, Any]:
        """Parameters of the only call of *method*."""
        (found,) = [params for name, params in self.calls if name == method]
        return found


def run(
    *argv: str,
    answers: Mapping[str, Answer] | None = None,
    stdin: bytes = b"",
    files: Mapping[str, bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = Path("/nowhere"),
) -> Ran:
    """Run the words of a command to its end."""
    written: dict[int, bytes] = {1: b"", 2: b""}

    def sink(descriptor: int, data: bytes) -> None:
        written[descriptor] += data

    def read(path: str | None, max_bytes: int) -> bytes:
        if path is None:
            return stdin
        if path not in (files or {}):
            raise UsageError(f"cannot read {path}: No such file or directory")
        return (files or {})[path]

    api = FakeApi({"agent.whoami": ME, "health": {"status": "ok"}, **(answers or {})})
    environment = {"HOME": "/home/somebody", "TZ": "UTC", **(env or {})}
    out = Output(sink, env=environment)
    inv = Invocation(argv=argv, cwd=cwd, env=environment, request_id="r")
    one = Run(inv, api=api, out=out, tree=tree(), read=read)

    def begin() -> Outcome:
        return tree().run(tree().find(argv), one)

    outcome = step(begin, out)
    while isinstance(outcome, Pending):
        outcome = step(_answered(outcome, api), out)
    return Ran(outcome, written[STDOUT].decode(), written[2].decode(), api.calls)


def _answered(pending: Pending, api: FakeApi) -> Callable[[], Outcome]:
    try:
        result = api.call(pending.method, **pending.params)
    except ThrumError as error:
        return pending.after_failure(error)
    return lambda: pending.finish(result)
