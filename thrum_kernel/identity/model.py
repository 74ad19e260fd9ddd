"""The identity file, version 5, and the rules for names.

Files are written with lower-case keys and read with keys in any case; keys that we do not know are kept.

Source: spec/kernel.md §2.4, §6.2; spec/decisions.md "Identity".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec

from thrum_kernel.errors import InvalidName

VERSION: Final = 5
NEVER: Final = "0001-01-01T00:00:00Z"
"""The time of a status that was never set."""

RESERVED_NAMES: Final = frozenset({"daemon", "system", "thrum", "all", "broadcast", "everyone", "user"})
MAX_NAME: Final = 64
NameKind = Literal["agent", "role", "module", "group", "user"]

_PATTERNS: Final[Mapping[str, tuple[re.Pattern[str], int, str]]] = {
    "user": (re.compile(r"[a-zA-Z0-9_-]+"), 32, "letters, digits, _ and -"),
    "group": (re.compile(r"[a-z0-9_.-]+"), MAX_NAME, "lower-case letters, digits, _, - and ."),
    "module": (re.compile(r"[A-Za-z0-9_./-]+"), MAX_NAME, "letters, digits, _, -, . and /"),
}
_PLAIN: Final = (re.compile(r"[a-z0-9_-]+"), MAX_NAME, "lower-case letters, digits, _ and -")
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"


class AgentName(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent calls itself.

    Attributes:
        kind: ``agent`` or ``user``.
        name: unique in the repository; empty for an agent of the old unnamed form.
        role, module: what it does and on which part.
        display: a name for people; may be empty.
    """

    kind: str = "agent"
    name: str = ""
    role: str = ""
    module: str = ""
    display: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """One identity file.

    Attributes:
        worktree: absolute root of the worktree it was registered in (old files: its base name).
        agent_pid: process id of the runtime that acts as this agent; 0 when none is known.
        agent_pid_start: start time of that process as `probe` tells it; 0 when unknown.
        preferred_runtime: what to launch; `runtime` is what was seen running.
        tmux_session: ``session:window.pane``.
        agent_status: ``working``, ``idle``, ``blocked`` or ``stuck``; empty when never set.
        agent_status_updated_at, updated_at: timestamps.
        extra: keys of the file that are not ours, as read.
    """

    agent: AgentName
    version: int = VERSION
    repo_id: str = ""
    worktree: str = ""
    branch: str = ""
    intent: str = ""
    session_id: str = ""
    confirmed_by: str = ""
    context_file: str = ""
    agent_pid: int = 0
    agent_pid_start: int = 0
    preferred_runtime: str = ""
    tmux_session: str = ""
    runtime: str = ""
    agent_status: str = ""
    agent_status_updated_at: str = NEVER
    reserved: bool = False
    updated_at: str = ""
    extra: Mapping[str, Any] = msgspec.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The agent's id: its name, or what stands for it in an unnamed file."""
        return self.agent.name or unnamed_id(self.repo_id, self.agent.role, self.agent.module)

    @property
    def role(self) -> str:
        return self.agent.role

    @property
    def module(self) -> str:
        return self.agent.module

    @property
    def display(self) -> str:
        return self.agent.display


_KEYS: Final = {name: name for name in Identity.__struct_fields__ if name != "extra"} | {
    "claude_pid": "agent_pid"
}
_AGENT_KEYS: Final = frozenset(AgentName.__struct_fields__)
_ALWAYS: Final = frozenset(
    {"version", "repo_id", "agent", "worktree", "agent_status_updated_at", "updated_at"}
)


def decode(raw: Mapping[str, Any]) -> Identity:
    """The identity in a JSON object, keys in any case; ``claude_pid`` counts as ``agent_pid``.

    Raises:
        ValueError: a known key holds a value of another type, or there is no agent; says which.
    """
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in raw.items():
        lowered = key.lower()
        if lowered not in _KEYS:
            extra[key] = value
        elif value is not None:
            values[lowered] = value
    older_pid = values.pop("claude_pid", 0)
    if not values.get("agent_pid"):
        values["agent_pid"] = older_pid
    agent = values.get("agent")
    if not isinstance(agent, Mapping):
        raise ValueError("has no agent")
    values["agent"] = {
        key.lower(): value for key, value in agent.items() if key.lower() in _AGENT_KEYS and value is not None
    }
    try:
        identity = msgspec.convert(values, Identity)
    except msgspec.ValidationError as error:
        raise ValueError(f"does not fit an identity: {error}") from error
    if not (identity.agent.name or identity.agent.role):
        raise ValueError("names neither an agent nor a role")
    return msgspec.structs.replace(identity, extra=extra)


def encode(identity: Identity) -> dict[str, Any]:
    """The JSON object of an identity: our keys first in lower case, empty ones left out, then unknown keys."""
    values: dict[str, Any] = {}
    for name in Identity.__struct_fields__:
        value = getattr(identity, name)
        if name != "extra" and (value or name in _ALWAYS):
            values[name] = msgspec.to_builtins(value)
    values["version"] = max(VERSION, identity.version)
    return {**values, **{key: value for key, value in identity.extra.items() if key not in values}}


def unnamed_id(repo_id: str, role: str, module: str) -> str:
    """The id of an agent registered without a name: ``<role>_<ten characters>``, the same every time."""
    digest = hashlib.sha256(f"{repo_id}|{role}|{module}".encode()).digest()
    number = int.from_bytes(digest[:7], "big") >> 6
    return f"{role}_" + "".join(_CROCKFORD[number >> shift & 31] for shift in range(45, -1, -5))


def check_name(kind: NameKind, name: str, *, claimed: Iterable[str] = ()) -> None:
    """Refuse a name that breaks the rules.

    Args:
        kind: what is to be called so.
        name: as given.
        claimed: sender names that the kernel and plugins use themselves; may hold ``*``.

    Raises:
        InvalidName: empty, too long, of other characters, reserved or claimed; says which.
    """
    pattern, longest, allowed = _PATTERNS.get(kind, _PLAIN)
    if not name:
        raise InvalidName(f"the {kind} name is empty")
    if len(name) > longest:
        raise InvalidName(
            f'invalid {kind} name "{name[:24]}…": {len(name)} characters, at most {longest}',
            hint="choose a shorter name",
        )
    if not pattern.fullmatch(name):
        raise InvalidName(
            f'invalid {kind} name "{name}": only {allowed} are allowed', hint=_suggestion(kind, name)
        )
    if kind == "module":
        _check_parts(name)
        return
    taken = name in RESERVED_NAMES if kind != "role" else name in RESERVED_NAMES - {"user"}
    if taken or any(fnmatchcase(name, claim) for claim in claimed):
        raise InvalidName(f'invalid {kind} name "{name}": it is reserved', hint="choose another name")


def check_agent(name: str, role: str, module: str, *, claimed: Iterable[str] = ()) -> None:
    """Refuse what an agent may not be registered as.

    Raises:
        InvalidName: one of the names breaks the rules, or the role is the name (mentions could not tell them apart).
    """
    check_name("agent", name, claimed=claimed)
    check_name("role", role)
    check_name("module", module)
    if name == role:
        raise InvalidName(
            f'agent name "{name}" is the same as its role: @{name} could mean both',
            hint=f"name it for example {name}_1, or {sanitize(f'{name}_{module}')}",
        )


def sanitize(text: str) -> str:
    """An agent name made of any text: lower case, ``_`` for other characters; ``main`` when nothing is left."""
    lowered = re.sub(r"[^a-z0-9_-]", "_", text.lower())
    return re.sub(r"_{2,}", "_", lowered)[:MAX_NAME].strip("_-") or "main"


def _check_parts(module: str) -> None:
    if ".." in module or module.startswith(("/", ".", "-")):
        raise InvalidName(f'invalid module name "{module}": it may not start with / . or -, nor hold ..')


def _suggestion(kind: str, name: str) -> str:
    better = sanitize(name)
    return "" if kind == "user" or better in RESERVED_NAMES else f"try {better}"
