"""THE surface for plugins, and for the kernel's own features, which come through the same doors.

Everything here is frozen data or a Protocol. A plugin imports this module, `thrum_kernel.client` and
`thrum_kernel.testing`, nothing else of the kernel.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec
import pluggy

T = TypeVar("T")

API_LEVEL: Final = 1
"""What a manifest asks for with ``api``; raised when this module changes incompatibly."""


class Clock(Protocol):
    """The time, as a plugin is given it."""

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


# --- events ----------------------------------------------------------------------------------------------------------


class Event(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all typed events; a subclass adds its payload as flat fields and its ``tag``.

    The envelope's fields are explained in `thrum_kernel.events.envelope`; ``PluginContext.emit`` fills them in.
    """

    event_id: str
    timestamp: str
    origin_daemon: str
    sequence: int = 0
    v: int = 1
    request_id: str = ""
    asserted: bool = False

    @property
    def type(self) -> str:
        """The event's type, e.g. ``message.create``."""
        tag = self.__struct_config__.tag
        assert isinstance(tag, str)
        return tag

    @property
    def ulid(self) -> str:
        """The ULID in ``event_id``."""
        return self.event_id[4:]


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event.

    Attributes:
        name: e.g. ``message.create``.
        payload: a ``msgspec.Struct`` below `Event` whose tag is *name*.
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
class Process:
    """One process.

    Attributes:
        pid: its id in our namespace.
        ppid: its parent's id; 0 when there is none to be seen.
        start_time: opaque number that tells apart processes which had the same id, also across a reboot.
        comm: the kernel's name of it.
        runtime: name of the runtime it is; empty when none.
    """

    pid: int
    ppid: int
    start_time: int
    comm: str = ""
    runtime: str = ""

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start_time


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
        chain: the calling process and those above it, nearest first, from the one look that told who calls; empty when
            that was not asked of the system.
        damage: what is wrong with identity files where it stands, while it is anonymous: one may be its own.
        ignored_name: its ``THRUM_NAME`` where that names no identity of the place; empty otherwise.
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
    chain: tuple[Process, ...] = field(default=(), compare=False, repr=False)
    damage: str = ""
    ignored_name: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it may write in somebody's name."""
        return self.kind != "anonymous"

    @property
    def is_person(self) -> bool:
        """Whether a person asks: with a user's token, or at a shell in a git worktree with no runtime above it.

        They act in the name of an agent where they stand in its worktree, and stay the one whom the project belongs to.
        """
        if self.kind == "user":
            return True
        is_here = self.worktree is not None and self.source in ("worktree", "none")
        return self.kind in ("agent", "anonymous") and is_here and not self.runtime_pid


KERNEL_CALLER = Caller(kind="kernel", agent_id="daemon", source="kernel")


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """What is known of a caller that several identities fit.

    Attributes:
        method: what it asks for.
        candidates: names of the identities that fit, sorted; nobody else can be chosen.
        pid: its process; 0 when unknown.
        cwd: where that process stands; None when unknown.
    """

    method: str
    candidates: tuple[str, ...]
    pid: int = 0
    cwd: Path | None = None


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
        resumes: for a mutating method that may take minutes: it keeps how far it came, so when the daemon stops it is
            cancelled and not waited for, and the next daemon goes on; a client asks again under the same request id.
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
    resumes: bool = False


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
        retry_s: of a failed wake: seconds after which to try again when no other rung helps; None: when the ladder is
            climbed anew anyway.
    """

    fact: Literal["injected", "seen", "read", "answered", "failed"]
    means: str
    message_ids: tuple[str, ...]
    reason: str = ""
    retry_s: float | None = None


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


# --- plugins ---------------------------------------------------------------------------------------------------------

hookimpl: Final = pluggy.HookimplMarker("thrum")
"""Marks a function of a plugin's hooks module as an implementation of the hook it is named after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCommand:
    """A command that a plugin adds; declared so that it can be listed without importing the plugin.

    Attributes:
        words: where it stands, e.g. ``("runtime", "list")``.
        target: ``package.module:function``, imported when it is first run: ``(ctx, …) -> int | None``, with
            ``run_of(ctx)`` for what it may use.
        help: one line.
        local: runs in the caller's own process.
        offline: runs with no daemon, and never starts one.
        in_daemon: may run inside the daemon: it blocks nobody and touches nothing but its `Run`. Otherwise it runs in
            the caller's process.
        hidden: not listed.
        aliases: other last words.
    """

    words: tuple[str, ...]
    target: str
    help: str
    local: bool = False
    offline: bool = False
    in_daemon: bool = False
    hidden: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginManifest:
    """What a plugin is, told by a module that imports nothing but this one.

    The entry point of group ``thrum.plugins`` names it: ``guards = "thrum_guards.plugin:MANIFEST"``.

    Attributes:
        name: ``[a-z][a-z0-9_]*``; the plugin's namespace: by default it may add methods ``<name>.*``, commands below
            the word *name*, a settings section *name*, tables ``<name>_*`` and events ``<name>.*``.
        summary: one line.
        api: the `API_LEVEL` it was written for.
        hooks: dotted path of the module with its hooks; empty when it only has commands.
        settings: ``module:Class`` of its settings, a pydantic model; empty when it has none. A field called like a
            name in *sections* is that section of config.json; the other fields are the keys of section *name*.
        requires: names of plugins that must be active before it.
        capabilities: what it does to the world beside answering: ``files``, ``processes``, ``network``,
            ``keystrokes``; shown to whoever enables it.
        commands: see `PluginCommand`.
        methods, nouns, sections, tables, senders, events: names claimed beyond the default namespace, exactly;
            *senders* and *methods* may end in ``*``.
        no_reply: nothing hears what is sent to its *senders*: whoever writes or replies to one is refused.
        overlay: name of a file in ``.thrum/var`` with values for this machine alone, which rank above config.json: keys
            of the first of *sections*, or of section *name*, with or without the section's name around them. One that
            cannot be understood is an error, never passed over.
        hints: the commands around which `thrum_hints` is asked, e.g. ``prime``; empty: every command, which costs each
            of them a little.
        history: its cursor over committed events starts at the beginning of the log, not at now.
    """

    name: str
    summary: str
    api: int
    hooks: str = ""
    settings: str = ""
    requires: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
    commands: tuple[PluginCommand, ...] = ()
    methods: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    no_reply: bool = False
    overlay: str = ""
    hints: tuple[str, ...] = ()
    history: bool = False


@dataclass(frozen=True, slots=True)
class PluginPaths:
    """Where a plugin may look and write.

    Attributes:
        worktree: root of the worktree that a command was called in; in the daemon, the one it was started in, so ask
            a call for its caller's.
        repo: the folder that holds the shared ``.thrum``.
        thrum: the shared ``.thrum``.
        state: a folder of the plugin's own below ``.thrum/var``, made when first used; it can be lost at any time.
        durable: a folder of the plugin's own beside the log, made when first used; it outlives ``git clean -fdx`` and
            stays when the plugin is removed.
    """

    worktree: Path
    repo: Path
    thrum: Path
    state: Path
    durable: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeChange:
    """A worktree that was prepared for an agent, or that is about to go.

    Attributes:
        kind: ``prepared``: it is there and shares our ``.thrum``; ``going``: it is removed when everybody was told.
        path: its root, resolved.
        branch: what is checked out there; empty when its HEAD is detached.
        agents: names of the agents that live in it, sorted; of one that is prepared, also the one it is made for.
        runtime: name of the runtime that shall live there; empty when none was named.
        wants_hooks: hook settings and scripts of runtimes belong into it (``worktrees.thrum_enabled``).
    """

    kind: Literal["prepared", "going"]
    path: Path
    branch: str = ""
    agents: tuple[str, ...] = ()
    runtime: str = ""
    wants_hooks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """Something that somebody wants to end or to begin anew, and whose it is.

    Attributes:
        what: as people call it, e.g. ``worktree auth`` or ``session "auth"``.
        owners: names of the agents that live in it.
        made_by: the agent that made it; empty: a person did, or nobody knows.
        worktree: the worktree it is, or stands in; None when in none.
    """

    what: str
    owners: tuple[str, ...] = ()
    made_by: str = ""
    worktree: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Why somebody may do it.

    Attributes:
        reason: it is their ``own``; they ``made`` it; they are a ``person``, or a ``supervisor``; the ``kernel`` or a plugin
            asks; or they were not asked for a reason, since it was ``forced``.
        tell: names of the agents who must be told that it was forced, sorted; empty otherwise.
    """

    reason: Literal["own", "made", "person", "supervisor", "kernel", "forced"]
    tell: tuple[str, ...] = ()


class PluginContext(Protocol):
    """All of Thrum that a plugin may touch. Every use is attributed to the plugin."""

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> Any:
        """Its settings as they are now, an instance of the class that its manifest names.

        While what is written cannot be used, those that held before; for a plugin that guards there are none then.

        Raises:
            FileDamaged: there are none; names the file, and every key that is wrong.
        """
        ...

    @property
    def log(self) -> logging.Logger: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def paths(self) -> PluginPaths: ...

    async def emit(self, event_type: str, /, **fields: Any) -> str:
        """Commit an event of one of its own types; gives its event id once it is durable and projected."""
        ...

    async def send(
        self, content: str, *, to: str | Sequence[str], sender: str, request_id: str = "", **params: Any
    ) -> str:
        """Send a message as one of its claimed *senders*; gives its id. *request_id* makes a retry harmless."""
        ...

    async def call(self, method: str, /, **params: Any) -> Any:
        """The result of any method, as the plugin itself."""
        ...

    async def announce(self, change: WorktreeChange) -> Sequence[str]:
        """Tell every plugin of a worktree (`thrum_worktree`), one after the other; what went wrong, a line a plugin."""
        ...

    async def authorize(self, caller: Caller, thing: Belonging, *, force: bool = False) -> Authority:
        """Why *caller* may end *thing* or begin it anew.

        Its owners may, whoever made it, a person, and supervisors (``permission_supervisors`` of config.json, by default
        whoever has the role ``coordinator``); with *force* everybody who is somebody here.

        Raises:
            NotYours: the caller is none of them, and there is no *force*.
            AnonymousCaller: nobody knows who or where the caller is.
        """
        ...

    def publish(self, topic: str, payload: Any) -> int:
        """Push to everybody who subscribed to ``<name>.<topic>``; how many that were."""
        ...

    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call *callback* for everything published to *topic* from now on; gives what ends that."""
        ...

    async def write(self, fn: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run *fn* on its local tables in one durable transaction."""
        ...

    def read(self, sql: str, params: Sequence[Any] = (), *, local: bool = False) -> list[tuple[Any, ...]]:
        """Rows of a query on the cache (its projected tables, the kernel's views), or on its local tables."""
        ...

    async def in_thread(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Run blocking work off the loop."""
        ...

    def presets(self) -> Sequence[RuntimePreset]:
        """Every runtime that the active plugins declare, in the order in which they were activated."""
        ...

    def shared(self, make: Callable[[PluginContext], T], /) -> T:
        """What *make* gives for this context: made the first time, the same object for every hook afterwards.

        For what a plugin's methods, services and hooks have in common, so that it needs no state of its modules.
        """
        ...

    def process(self, pid: int) -> Process | None:
        """The process with this id, as it is now; None when there is none, or only a zombie.

        `Process.key` tells it from another that gets the same id later: keep both to find it again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tables:
    """A plugin's own tables.

    Attributes:
        projected: statements that make its tables in the cache, filled by its projectors; changing one rebuilds.
        local: additive steps for its tables in ``local.db``.
    """

    projected: tuple[str, ...] = ()
    local: tuple[Migration, ...] = ()


@dataclass(frozen=True, slots=True)
class Projector:
    """A rule that writes a plugin's projected tables.

    Attributes:
        event_type: one of the plugin's own, or any type of the kernel.
        apply: pure ``(connection, event) -> None``: same events in any order, any number of times, same tables.
    """

    event_type: str
    apply: Callable[[sqlite3.Connection, Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFacts:
    """An identity file and the process it names, as they are now.

    Attributes:
        name: whose it is.
        worktree: the worktree whose ``.thrum`` holds it.
        pid: the runtime that it says acts as this agent; 0 when none.
        start_time: of that process as `Process.start_time`; 0 when the file does not tell.
        is_running: that very process runs.
        tmux_session: ``session:window.pane``; empty when none.
    """

    name: str
    worktree: Path
    pid: int = 0
    start_time: int = 0
    is_running: bool = False
    tmux_session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedCall:
    """What a guard is asked about.

    Attributes:
        kind: ``method`` before a mutating method; ``command`` before a guarded command; ``identity`` before an identity
            file is written; ``reclaim`` before an identity whose process is dead is taken over; ``bootstrap`` before
            ``init`` or a daemon's start; ``prime`` before a briefing is given.
        name: the method or command; for the others the agent or folder concerned.
        caller: who asks.
        params: parameters of the method; of a command ``args`` and what its environment tells (``tmux_pane``); of
            ``bootstrap`` the ``command`` and whether the folder ``is_git``.
        force: ``--force`` was given.
        identities: the identity files of the worktree that the caller stands in, by name; for ``identity`` the one that
            is to be written, as it will be.
    """

    kind: Literal["method", "command", "identity", "reclaim", "bootstrap", "prime"]
    name: str
    caller: Caller
    params: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    identities: tuple[IdentityFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a guard says. The strictest of all guards counts: deny, then warn, then allow.

    Attributes:
        outcome: ``deny`` refuses with `reason`, ``warn`` lets it pass and tells, ``allow`` lets it pass.
        guard: id of the checkpoint, shown.
        reason: a stable word, e.g. ``pid_mismatch``.
        facts: further lines in the order to show them, label → text.
        hint: what to do next.
    """

    outcome: Literal["deny", "warn", "allow"]
    guard: str = ""
    reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When hints are asked for.

    Attributes:
        command: words of the command, e.g. ``send`` or ``tmux create``.
        phase: ``before`` it does anything, or ``after`` it succeeded.
        caller: who runs it.
        params: its arguments and what else is known, plain values.
        result: what it gave, after.
        force: ``--force`` was given.
    """

    command: str
    phase: Literal["before", "after"]
    caller: Caller
    params: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HintOption:
    """Something one may do: shown as ``label: cmd  (note)``."""

    label: str
    cmd: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A hint with a stable code.

    Attributes:
        code: e.g. ``send.recipient-stale``.
        severity: ``warn`` before a command stops it unless it is allowed to be forced and is; ``info`` only tells.
        message: one sentence.
        options: what one may do.
        allow_force: ``--force`` gets past it.
    """

    code: str
    severity: Literal["warn", "info"]
    message: str
    options: tuple[HintOption, ...] = ()
    allow_force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimeSection:
    """A section of the briefing.

    Attributes:
        key: its key in ``prime --json``.
        order: sections are shown by ascending order; the kernel's are 100, 200, … 1100 (see `briefing.prime`).
        text: Markdown; empty leaves it out of the text.
        data: its value in JSON.
    """

    key: str
    order: int
    text: str
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KitFile:
    """A file that a runtime needs in a repository.

    Attributes:
        path: relative to the worktree's root (``~/…``: to the home folder).
        content: its text; ``{{.AgentName}}``, ``{{.AgentRole}}``, ``{{.AgentModule}}`` and ``{{.MCPCommand}}`` are
            replaced.
        managed: ours, always written anew; otherwise one that is there stays unless forced.
        merge: ``hooks`` merges it into an existing JSON file that keeps everything else.
        executable: mode 0755.
    """

    path: str
    content: str
    managed: bool = False
    merge: Literal["", "hooks"] = ""
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """One entry of a runtime's transcript.

    Attributes:
        kind: ``user``, ``assistant``, ``tool`` (a tool's result), or ``other`` (queue, history, bookkeeping).
        text: what it says.
        at: timestamp, empty when the transcript tells none.
    """

    kind: Literal["user", "assistant", "tool", "other"]
    text: str
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextUse:
    """How much of its context a runtime's session uses, as its transcript tells it.

    Attributes:
        tokens: in the context now.
        window: how many fit into it.
    """

    tokens: int
    window: int

    @property
    def percent(self) -> float:
        """0 … 100; more where *window* is too small a guess."""
        return 100 * self.tokens / self.window if self.window > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePreset:
    """A runtime as data. The name is its one key everywhere.

    Attributes:
        name, display_name, command: e.g. ``claude``, ``Claude Code``, ``claude``.
        processes: names of its processes.
        mcp_supported, hooks_supported, has_session_start_hook: what it can do.
        instructions_file, mcp_config_path, setup_notes: for people.
        markers: files or folders in a repository that tell it is used there.
        environment: variables that tell we run inside it.
        binaries: ``(program, words one of which its --version contains)``.
        skills_dir: where it looks for skills.
        files: what ``init --runtime`` writes.
        queues_input: takes input while it is busy.
        enter_delay_s: seconds between text and Enter.
        bracketed_paste: wants multi-line text pasted.
        prompt: regular expressions of its prompt box, each matched with one row of the screen, without the blanks at
            its end. ``line``: the first row of what is typed, which stands in the group ``text``; ``more``: its
            further rows, likewise; ``above`` and ``below``: the rows that bound the box; ``footer``: the next row
            below that is not empty; ``placeholder``: matched with the whole text, what an empty box says; ``at_cursor``
            (any value): the prompt is the cursor's row, as in a shell. A key that is left out is not asked for; without
            ``line`` nothing is ever typed unasked. Further keys are for whoever knows them.
        busy, dialog: regular expressions searched in the lowest rows of the screen, by the name of what is shown: it
            works, or it asks something and takes its next key as the answer.
        keys: keys for a dialog, by ``<dialog>.<answer>``; several are separated by commas.
        find_transcript: ``(pid, cwd) -> Path | None``, blocking.
        read_transcript: ``(path) -> Iterable[TranscriptEntry]``, oldest first, blocking.
        read_context: ``(path) -> ContextUse | None`` of the same file, from its end; None where it does not tell;
            blocking.
    """

    name: str
    display_name: str
    command: str
    processes: tuple[str, ...] = ()
    mcp_supported: bool = False
    hooks_supported: bool = False
    has_session_start_hook: bool = False
    instructions_file: str = ""
    mcp_config_path: str = ""
    setup_notes: str = ""
    markers: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    binaries: tuple[tuple[str, tuple[str, ...]], ...] = ()
    skills_dir: str = ""
    files: tuple[KitFile, ...] = ()
    queues_input: bool = False
    enter_delay_s: float = 0.1
    bracketed_paste: bool = False
    prompt: Mapping[str, str] = field(default_factory=dict)
    busy: Mapping[str, str] = field(default_factory=dict)
    dialog: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    find_transcript: Callable[[int, Path], Path | None] | None = None
    read_transcript: Callable[[Path], Iterable[TranscriptEntry]] | None = None
    read_context: Callable[[Path], ContextUse | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOption:
    """An option that a step adds to ``thrum init``: ``--<name>``."""

    name: str
    help: str
    is_flag: bool = False
    metavar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the wizard asks.

    Attributes:
        key: the option that answers it, so that no question is asked.
        prompt: the line, without its colon.
        default: taken on Enter.
        choices: numbered; empty for free text.
        check: gives the cleaned answer, or raises UsageError.
    """

    key: str
    prompt: str
    default: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    check: Callable[[str], str] | None = None


class InitPlan(Protocol):
    """What a step of ``init`` may do: every file goes through it, so that it can be listed and rolled back."""

    @property
    def repo(self) -> Path: ...
    @property
    def worktree(self) -> Path: ...
    @property
    def thrum(self) -> Path: ...
    @property
    def env(self) -> Mapping[str, str]:
        """The environment of whoever runs ``init``; ``HOME`` is theirs."""
        ...

    @property
    def dry_run(self) -> bool: ...
    @property
    def force(self) -> bool: ...
    @property
    def options(self) -> Mapping[str, Any]:
        """Every option given, and every answer."""
        ...

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None: ...
    def make_folder(self, path: Path) -> None: ...
    def configure(self, key: str, value: Any) -> None: ...
    def say(self, line: str) -> None: ...
    def report(self, key: str, value: Any) -> None:
        """Add to the JSON result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InitStep:
    """A step of ``thrum init``.

    Attributes:
        name: unique.
        order: steps run by ascending order; the kernel's: core 100, identity 200, worktrees 300, roles 400,
            runtime 500, daemon 800, registration 900.
        options: what it adds to the command.
        questions: ``(plan) -> questions`` asked on a terminal for what no option answered.
        run: ``(plan) -> None``, blocking; everything it writes goes through the plan.
    """

    name: str
    order: int
    run: Callable[[InitPlan], None]
    options: tuple[InitOption, ...] = ()
    questions: Callable[[InitPlan], Sequence[Question]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that ``thrum doctor`` looks at.

    Attributes:
        subject: what, e.g. ``hooks``.
        look: ``(ctx) -> findings``, blocking.
        fix: ``(ctx, finding) -> said``, for findings that can be mended safely; None when none can.
    """

    subject: str
    look: Callable[[Any], Sequence[Finding]]
    fix: Callable[[Any, Finding], str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """An agent as preamble and briefing hooks see it.

    Attributes:
        worktree: root of the worktree it lives in.
        thrum: that worktree's own ``.thrum`` (identities, context).
    """

    name: str
    role: str
    module: str
    worktree: Path
    thrum: Path
    runtime: str = ""
    display: str = ""
