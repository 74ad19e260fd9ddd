"""THE surface for plugins, and for the kernel's own features, which come through the same doors.

Everything here is frozen data or a Protocol. A plugin imports this module, `thrum_kernel.client` and
`thrum_kernel.testing`, nothing else of the kernel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

API_LEVEL = 1
"""What a manifest asks for with ``api``; raised when this module changes incompatibly."""


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event.

    Attributes:
        name: e.g. ``message.create``.
        payload: a ``msgspec.Struct`` below ``thrum_kernel.events.Event`` whose tag is *name*.
        version: highest version of the payload that this code understands; a higher one is kept, not applied.
        scope: ``shared`` travels between clones; ``local`` never enters the journal.
        shard: ``messages`` when it belongs to the author's files, else ``events``.
    """

    name: str
    payload: type[Any]
    version: int = 1
    scope: Literal["shared", "local"] = "shared"
    shard: Literal["messages", "events"] = "events"


# --- who calls -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from, as the operating system and the tokens tell.

    Attributes:
        kind: ``agent`` a registered agent; ``user`` a person with a token (``agent_id`` is then ``user:<name>``);
            ``anonymous`` provably none of them; ``kernel`` the daemon itself or a plugin.
        agent_id: name of the agent, user or sender; empty when anonymous.
        source: how it was found: ``process`` (a registered runtime above the caller), ``worktree``, ``claim``,
            ``token``, ``kernel``, ``none``.
        asserted: the claim was taken because the system could not tell; shown with everything it does.
        pid: the calling process, 0 when unknown.
        runtime_pid: the nearest process above it that is a known runtime, 0 when none.
        runtime: name of that runtime, e.g. ``claude``; empty when none.
        cwd: where it stands; None when unknown.
        worktree: root of the worktree it stands in; None when in none.
        reason: why it is anonymous, for the log; empty otherwise.
    """

    kind: Literal["agent", "user", "anonymous", "kernel"]
    agent_id: str = ""
    source: Literal["process", "worktree", "claim", "token", "kernel", "none"] = "none"
    asserted: bool = False
    pid: int = 0
    runtime_pid: int = 0
    runtime: str = ""
    cwd: Path | None = None
    worktree: Path | None = None
    reason: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it may write in somebody's name."""
        return self.kind != "anonymous"


KERNEL_CALLER = Caller(kind="kernel", agent_id="daemon", source="kernel")


# --- methods ---------------------------------------------------------------------------------------------------------


class Call(Protocol):
    """One request on its way through the dispatcher.

    ``caller`` is resolved before a method that is not anonymous runs. ``request_id`` names the n-th change of a
    command (``<id>.<n>``); empty when the client gave none.
    """

    @property
    def method(self) -> str: ...
    @property
    def caller(self) -> Caller: ...
    @property
    def request_id(self) -> str: ...
    @property
    def transport(self) -> Literal["unix", "websocket", "internal"]: ...

    def subscribe(self, topic: str, *, as_method: str) -> None:
        """Push every later frame of *topic* to this connection as notification *as_method*."""
        ...

    def when_shown(self, effect: Callable[[], None]) -> None:
        """Run *effect* once the client has taken the last byte of the answer; never when it went away before."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """A JSON-RPC method.

    Attributes:
        name: e.g. ``message.send``.
        params: a ``msgspec.Struct`` (kw_only; ``forbid_unknown_fields`` unless *open_params*); its docstring
            documents the parameters.
        result: a Struct, or any type msgspec can encode; documents the result.
        handler: ``(call, params) -> result``, sync or async. A sync handler runs at once on the loop and must not
            block; async ones are tasks.
        mutates: changes state: refused to anonymous callers unless *anonymous*, judged by guards.
        anonymous: may be called by an anonymous caller, for its own worktree only when it mutates.
        long_poll: may take minutes.
        transports: where it can be called.
        summary: one line for the reference.
        while_projecting: answers also while the cache is being rebuilt.
        recall: for a mutating method: ``(call, events) -> result``, the answer that was given when a request with
            these events (oldest first, found by their ``request_id``) was carried out before a restart.
    """

    name: str
    params: type[Any]
    result: Any
    handler: Callable[[Any, Any], Any]
    summary: str
    mutates: bool = False
    anonymous: bool = False
    long_poll: bool = False
    transports: frozenset[str] = frozenset({"unix", "websocket", "internal"})
    while_projecting: bool = False
    mcp: bool = False
    recall: Callable[[Any, Any], Any] | None = None


class Api(Protocol):
    """How a command asks the daemon: the dispatcher itself inside it, a socket client elsewhere."""

    def call(self, method: str, /, **params: Any) -> Any:
        """The result of a method as plain JSON values.

        Raises:
            ThrumError: whatever the method refused with.
        """
        ...


# --- services, work in the background --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Service:
    """Background work of the daemon, restarted with back-off when it fails.

    Attributes:
        name: unique, dotted, e.g. ``kernel.publish``.
        run: ``async (started) -> None``; calls ``started()`` when it is up and returns when it is cancelled.
        stop_time_s: how long it may take to end after cancellation.
    """

    name: str
    run: Callable[[Callable[[], None]], Awaitable[None]]
    stop_time_s: float = 1.0


# --- waking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wake:
    """Messages that their recipient has not seen yet.

    Attributes:
        agent_id: the recipient, resident on this daemon.
        message_ids: what waits, oldest first.
        senders: their authors, in the same order.
        priority: the highest among them.
    """

    agent_id: str
    message_ids: tuple[str, ...]
    senders: tuple[str, ...]
    priority: Literal["low", "normal", "high"] = "normal"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Proof that something happened to a delivery.

    Attributes:
        fact: ``injected``, ``seen``, ``read``, ``answered`` or ``failed``.
        means: what showed it, e.g. ``inbox``, ``hook:claude``, ``tmux``.
        message_ids: the messages it proves it for, no others.
        reason: why it failed; empty otherwise.
    """

    fact: Literal["injected", "seen", "read", "answered", "failed"]
    means: str
    message_ids: tuple[str, ...]
    reason: str = ""


# --- doctor ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of ``thrum doctor``.

    Attributes:
        subject: what was looked at.
        level: ``ok``, ``warning`` or ``error``.
        text: what was found.
        remedy: the command that mends it; empty when nothing needs mending.
    """

    subject: str
    level: Literal["ok", "warning", "error"]
    text: str
    remedy: str = ""


# --- commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Invocation:
    """One command as a person or agent typed it; a command never looks at ``sys`` or ``os.environ`` itself.

    Attributes:
        argv: the words after ``thrum``.
        cwd: where it was typed, as the operating system tells.
        env: the allow-listed part of the environment.
        request_id: identifies this try of the command and all its retries.
        in_daemon: whether it runs inside the daemon.
        as_json, quiet, verbose, repo, role, module: the global flags.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    in_daemon: bool = False
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    repo: str = ""
    role: str = ""
    module: str = ""


# --- tables ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Migration:
    """One additive step of a local (``local.db``) schema, applied once, in one transaction with its record.

    Attributes:
        name: unique and ordered within its owner, e.g. ``messaging.0001_read_marks``.
        statements: SQL, one statement each.
    """

    name: str
    statements: tuple[str, ...]
