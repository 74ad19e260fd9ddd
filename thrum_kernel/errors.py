"""Every error that Thrum raises on purpose.

Each class knows its JSON-RPC code, the exit status of a command that ends with it, and a hint saying what to do
next. Facts are attributes, the sentence is ``__str__``.

- ThrumError
    - UsageError            the request itself is wrong; nothing was looked up or changed
        - InvalidName
        - BodyTooLarge
        - BodyInvalid
    - NotFound              what was named does not exist
        - UnknownAgent
        - UnknownRecipient
        - AmbiguousName
    - Refused               the caller may not do this, or not now
        - AnonymousCaller
        - TokenMissing
        - GuardFired
        - QuotaExceeded
        - NotYours
    - IdentityError         who is calling cannot be told
        - IdentityMissing
        - IdentityAmbiguous
    - FileDamaged           a file of ours cannot be used as it is
    - NotARepository
    - NotInitialized
    - GitFailed             git itself ended with an error
    - StoreError            the log cannot take or give an event
        - StoreFull
        - StoreLocked
        - FormatTooNew
        - FileMissing
    - DaemonError
        - DaemonNotRunning
        - DaemonUnreachable
        - Projecting        the daemon is rebuilding its cache
        - CacheUnavailable  and could not, so far
        - ShuttingDown
    - MethodNotFound
    - ParamsInvalid
    - Timeout
    - PluginError           a plugin failed, not the kernel
    - RequestDone           a retry of a change that was carried out already
    - RemoteError           an error that came over the wire, with its code

Codes -32700 … -32603 are those of JSON-RPC 2.0; ours are -32000 … -32099.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

_FORBIDDEN: Final = (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR)
_MOST_SHOWN: Final = 80
"""Characters of a name that somebody typed, in the sentence that refuses it."""


def _shown(name: str) -> str:
    return name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}… ({len(name)} characters)"


PARSE_ERROR = -32700
INVALID_REQUEST = -32600


class ThrumError(Exception):
    """Root of all errors that Thrum raises on purpose."""

    rpc_code: int = -32000
    exit_code: int = 1
    message: str = ""
    _hint: str = ""

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self._hint = hint

    def __str__(self) -> str:
        return self.message

    @property
    def hint(self) -> str:
        """What to do next, one line; empty when there is nothing useful to say."""
        return self._hint


class UsageError(ThrumError):
    """The request is wrong in itself.

    Attributes:
        message: one sentence naming what is wrong.
    """

    rpc_code = -32602


class InvalidName(UsageError):
    """A name of an agent, role, module, group or user breaks the rules for names."""


class BodyInvalid(UsageError):
    """A message body that cannot be stored: empty, with NUL, not UTF-8, unknown format."""


class BodyTooLarge(UsageError):
    """A message body above ``daemon.max_message_body_bytes``."""

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(
            f"message body too large: {size} bytes exceeds the daemon limit of {limit} bytes "
            "(daemon.max_message_body_bytes)",
            hint="send a path to a file, or raise daemon.max_message_body_bytes in .thrum/config.json",
        )


class NotFound(ThrumError):
    """What the caller named does not exist.

    Attributes:
        kind: what was looked for: ``message``, ``agent``, ``session``, …
        name: the name as given.
    """

    rpc_code = -32004

    def __init__(self, kind: str, name: str, *, message: str | None = None, hint: str = "") -> None:
        told = f"{kind} not found: {name}" if message is None else message
        super().__init__(told.replace(name, _shown(name)) if name else told, hint=hint)
        self.kind = kind
        self.name = name


class UnknownAgent(NotFound):
    """Nobody is registered by the name that an agent was asked for with.

    Attributes:
        near: registered names that look like it, nearest first.
    """

    def __init__(self, name: str, near: Sequence[str]) -> None:
        self.near = tuple(near)
        meant = " or ".join(f"@{other}" for other in self.near)
        hint = f"did you mean {meant}?" if meant else "`thrum team --all` lists everyone"
        super().__init__("agent", name, hint=hint)


class UnknownRecipient(NotFound):
    """One or more recipients of a message do not exist; nothing was delivered to anyone.

    Attributes:
        names: the unknown names, in the order given, without ``@``.
        suggestions: for each unknown name the known names nearest to it.
        wide: for those that are a role or a group, which of the two.
    """

    def __init__(
        self,
        names: Sequence[str],
        suggestions: Mapping[str, Sequence[str]],
        *,
        wide: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.names = tuple(names)
        self.suggestions = {name: tuple(found) for name, found in suggestions.items()}
        self.wide = dict(wide)
        listed = ", ".join(f"@{_shown(name)}" for name in self.names)
        super().__init__(
            "agent",
            listed,
            message=f"unknown recipient: {listed} — send to agents directly with --to @agent_name",
        )

    def _near(self, name: str) -> list[str]:
        return [other for other in self.suggestions.get(name, ()) if other != name or name not in self.wide]

    @property
    def hint(self) -> str:
        near = [f"@{other}" for name in self.names for other in self._near(name)]
        told = [f"@{name} is a {kind}: use --mention @{name};" for name, kind in self.wide.items()]
        if near:
            told.append(f"did you mean {' or '.join(dict.fromkeys(near))}?")
        if told:
            return f"{' '.join(told)} nothing was sent"
        return "nothing was sent; `thrum team --all` lists everyone"


class AmbiguousName(NotFound):
    """A bare name fits agents of several daemons.

    Attributes:
        candidates: the long forms ``name@daemon`` that fit, sorted.
    """

    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        self.candidates = tuple(sorted(candidates))
        super().__init__(
            "agent", name, message=f"@{name} is known on several machines: {', '.join(self.candidates)}"
        )

    @property
    def hint(self) -> str:
        return f"use one of the long names, for example @{self.candidates[0]}"


class Refused(ThrumError):
    """The caller may not do this, or not in this state."""

    rpc_code = -32003


MEND_IDENTITY = "mend or remove that file; once it is gone, register again: thrum quickstart"


class AnonymousCaller(Refused):
    """A caller that is provably no registered agent asked for something that needs one.

    Attributes:
        method: what it asked for.
        damage: what is wrong with the identity files where it stands, one of which may be its own; empty if nothing is.
    """

    rpc_code = -32002

    def __init__(self, method: str, *, damage: str = "") -> None:
        self.method = method
        self.damage = damage
        if damage:
            super().__init__(
                f'anonymous caller cannot invoke "{method}": its identity file cannot be used: {damage}',
                hint=MEND_IDENTITY,
            )
            return
        super().__init__(
            f'anonymous caller cannot invoke "{method}": cd into a registered agent worktree and retry',
            hint="register here first: thrum quickstart --name NAME --role ROLE --module MODULE",
        )


class TokenMissing(Refused):
    """A connection that only a token can speak for presented none, or one that is good no more."""

    rpc_code = -32002

    def __init__(self) -> None:
        super().__init__(
            "this connection presented no valid token",
            hint="thrum daemon token mints one: bearer header, subprotocol, link, or first call token.present",
        )


class GuardFired(Refused):
    """An identity guard, the kernel's or a plugin's, refused the call.

    Attributes:
        guard: id of the guard, for example ``unauthenticated_rpc``.
        reason: stable word for why.
        facts: further lines in the order to show them, e.g. ``{"expected agent": "alice"}``.
    """

    rpc_code = -32010

    def __init__(
        self, guard: str, reason: str, *, facts: Mapping[str, str] | None = None, hint: str = ""
    ) -> None:
        self.guard = guard
        self.reason = reason
        self.facts = dict(facts or {})
        lines = [f'identity guard "{guard}" fired: {reason}']
        lines += [f"  {label}: {value}" for label, value in self.facts.items() if value]
        super().__init__("\n".join(lines), hint=hint)


class QuotaExceeded(Refused):
    """An agent sends faster than its quota allows; nothing was stored.

    Attributes:
        agent_id: who sends.
        retry_after_s: seconds until the same call is allowed again.
    """

    rpc_code = -32005

    def __init__(self, agent_id: str, retry_after_s: float) -> None:
        self.agent_id = agent_id
        self.retry_after_s = retry_after_s
        super().__init__(
            f"send quota of @{agent_id} exceeded: retry in {max(retry_after_s, 0.1):.1f} s",
            hint="the quota stops agents that loop; raise messaging.send_per_minute in .thrum/config.json if it is too low",
        )


class NotYours(Refused):
    """An agent wants to end, or to begin anew, what belongs to others.

    Attributes:
        what: what it is, e.g. ``worktree auth``.
        caller: who wants it; empty when it is no agent here.
        owners: the agents that live in it.
        made_by: the agent that made it; empty: a person did, or nobody knows.
        supervisors: agents that look after all others.
        worktree: where a caller that is no agent would have to stand; empty: nowhere.
        at_stake: what of theirs force would throw away, as `hint` tells it; empty: nothing. Whoever knows sets it.
    """

    def __init__(
        self,
        what: str,
        *,
        caller: str = "",
        owners: Sequence[str] = (),
        made_by: str = "",
        supervisors: Sequence[str] = (),
        worktree: str = "",
    ) -> None:
        self.what = what
        self.caller = caller
        self.owners = tuple(owners)
        self.made_by = made_by
        self.supervisors = tuple(supervisors)
        self.worktree = worktree
        self.at_stake = ""
        you = f"you are @{caller}" if caller else "you are no agent here"
        super().__init__(f"{what} is {self._whose}, and {you}")

    @property
    def _whose(self) -> str:
        if self.owners:
            return f"{' and '.join(f'@{name}' for name in self.owners)}'s"
        return f"@{self.made_by}'s, who made it" if self.made_by else "no agent's"

    @property
    def hint(self) -> str:
        if not self.caller:
            there = f", or cd {self.worktree}" if self.worktree else ""
            return f"register first (thrum quickstart --name NAME --role ROLE --module MODULE){there}"
        names = dict.fromkeys((*self.owners, *filter(None, (self.made_by,)), *self.supervisors))
        asked = " or ".join(f"@{name}" for name in names) or "a person"
        does = "does it all the same, and tells them" if names else "does it all the same"
        lost = f"; it throws away {self.at_stake}" if self.at_stake else ""
        return f"ask {asked}; --force {does}{lost}"


class IdentityError(ThrumError):
    """Who is calling cannot be told, or the identity on disk cannot be used."""

    rpc_code = -32011


class IdentityMissing(IdentityError):
    """No identity is registered where the caller stands.

    Attributes:
        where: the worktree that was looked at.
        is_outside: it is none of the repository that was asked.
    """

    def __init__(self, where: str, *, is_outside: bool = False) -> None:
        self.where = where
        self.is_outside = is_outside

    def __str__(self) -> str:
        if self.is_outside:
            return f"nobody is registered where you stand: {self.where} is in no worktree of this repository"
        return "no agent identities registered in this worktree"

    @property
    def hint(self) -> str:
        if self.is_outside:
            return "go to the agent's worktree: --repo says which repository is asked, not who you are"
        return "register here first: thrum quickstart --name NAME --role ROLE --module MODULE"


class IdentityAmbiguous(IdentityError):
    """More than one identity fits this caller.

    Attributes:
        candidates: names of the identity files that fit, sorted.
        damaged: what is wrong with files beside them, any of which may be the caller's.
        ignored_name: a ``THRUM_NAME`` that names none of them; empty otherwise.
    """

    rpc_code = -32012

    def __init__(
        self, candidates: Sequence[str], *, damaged: Sequence[FileDamaged] = (), ignored_name: str = ""
    ) -> None:
        self.candidates = tuple(sorted(candidates))
        self.damaged = tuple(damaged)
        self.ignored_name = ignored_name

    def __str__(self) -> str:
        count = len(self.candidates) + len(self.damaged)
        lines = [
            f"cannot auto-select identity: {count} identity files found in .thrum/identities/",
            f"  Available: {', '.join(self.candidates)}",
            *(f"  Damaged: {problem}" for problem in self.damaged),
        ]
        if self.ignored_name:
            lines.append(f"  Ignored: THRUM_NAME={self.ignored_name} names none of them")
        return "\n".join(lines)

    @property
    def hint(self) -> str:
        if self.damaged:
            return "mend or remove the damaged file, or set THRUM_NAME to one that is available"
        return "set THRUM_NAME to one of them, or run from that agent's worktree"


class FileDamaged(ThrumError):
    """A file of ours is there but cannot be read or understood.

    Attributes:
        path: the file.
        reason: what is wrong with it, with line and column where known.
    """

    rpc_code = -32013

    def __init__(self, path: object, reason: str, *, hint: str = "") -> None:
        self.path = str(path)
        self.reason = reason
        self._hint = hint

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"

    @property
    def hint(self) -> str:
        return self._hint or "mend or remove the file, then retry"


class NotARepository(ThrumError):
    """No git repository here or above, and none was asked to be done without.

    Attributes:
        path: the folder looked from.
    """

    rpc_code = -32014

    def __init__(self, path: object, *, bare: bool = False) -> None:
        self.path = str(path)
        self.bare = bare

    def __str__(self) -> str:
        if self.bare:
            return f"{self.path} is a bare git repository: it has no working tree for agents to stand in"
        return f"not a git repository (or any parent): {self.path}"

    @property
    def hint(self) -> str:
        if self.bare:
            return "run from a worktree of it: git worktree add PATH BRANCH"
        return "run `git init` first, or pass --force to use thrum without git"


class NotInitialized(ThrumError):
    """No ``.thrum`` with a configuration where the caller stands.

    Attributes:
        path: where it should be.
        bare: that is a repository without a working tree.
    """

    rpc_code = -32015

    def __init__(self, path: object, *, bare: bool = False) -> None:
        self.path = str(path)
        self.bare = bare

    def __str__(self) -> str:
        return f"thrum is not initialized in {self.path}" + (", a bare git repository" if self.bare else "")

    @property
    def hint(self) -> str:
        return "run from a worktree of it: git worktree add PATH BRANCH" if self.bare else "run: thrum init"


class GitFailed(ThrumError):
    """Git ended with an error, or could not be started, or took too long.

    Attributes:
        command: the git command, e.g. ``status``.
        reason: the first line of what it said.
    """

    rpc_code = -32016

    def __init__(self, command: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"git {command} failed: {reason}", hint=hint)
        self.command = command
        self.reason = reason


class StoreError(ThrumError):
    """The log cannot take or give an event."""

    rpc_code = -32020


class StoreFull(StoreError):
    """The disk is full: the event was not stored; reads go on."""

    rpc_code = -32021

    def __init__(self, path: object) -> None:
        super().__init__(
            f"no space left on the disk of {path}: nothing was stored",
            hint="free some space and retry; reading still works",
        )


def disk_full(error: BaseException) -> StoreError | None:
    """A foreign error that says the disk is full, in our words; None for any other.

    What was asked for may be half done then, unlike with `StoreFull`.
    """
    path = ""
    if isinstance(error, OSError):
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return None
        path = f" of {error.filename}" if error.filename else ""
    elif type(error).__name__ != "OperationalError" or "disk is full" not in str(error):  # of sqlite3
        return None
    return StoreError(
        f"no space left on the disk{path}", hint="free some space and retry; reading still works"
    )


def refused_by_system(error: BaseException) -> ThrumError | None:
    """A foreign error that says the disk is full or a file may not be used, in our words; None for any other."""
    full = disk_full(error)
    if full is not None or not isinstance(error, OSError) or error.errno not in _FORBIDDEN:
        return full
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
    folder, _, name = path.rpartition("/")
    if name.startswith(".") and name.endswith(".tmp"):  # what is written aside before it takes its place
        path = folder
    if not path:
        return None
    return FileDamaged(
        path, f"cannot be used: {error.strerror}", hint="check what it is, and its permissions"
    )


class StoreLocked(StoreError):
    """Another daemon holds the lock of this log.

    Attributes:
        pid: its process id, where known.
    """

    rpc_code = -32022

    def __init__(self, path: object, pid: int | None) -> None:
        self.pid = pid
        holder = f" (PID {pid})" if pid else ""
        super().__init__(f"daemon lock held by another process{holder}: {path}", hint="thrum daemon status")


class FormatTooNew(StoreError):
    """Files that only a later version of Thrum understands.

    Attributes:
        needed: the lowest version of the reader that the files ask for.
    """

    rpc_code = -32023

    def __init__(self, path: object, needed: object, ours: object) -> None:
        self.needed = needed
        super().__init__(
            f"{path} needs reader version {needed}, this thrum has {ours}",
            hint="upgrade thrum on this machine; nothing was changed",
        )


class LocalTablesDiffer(StoreError):
    """Tables of ``local.db`` were made by another text of the same steps, in a way that nobody can mend by rule.

    Attributes:
        reason: what is not as it should be.
        made_by: the version of thrum that made them.
    """

    def __init__(self, path: object, reason: str, *, made_by: str) -> None:
        self.reason = reason
        self.made_by = made_by
        super().__init__(
            f"{path}: {reason}; it was made by another build (thrum {made_by})",
            hint="install the build that made it; nothing was changed",
        )


class FileMissing(StoreError):
    """A file of the log is not there (any more): rolled up, purged, or taken away by hand.

    Attributes:
        path: the file.
    """

    rpc_code = -32024

    def __init__(self, path: object) -> None:
        self.path = str(path)
        super().__init__(f"{path} is missing", hint="thrum log verify")


class DaemonError(ThrumError):
    """The daemon cannot answer."""

    rpc_code = -32030


class DaemonNotRunning(DaemonError):
    """No daemon serves this repository."""

    rpc_code = -32031

    def __init__(self, *, stopped: bool = False) -> None:
        text = "daemon is not running" + (" (it was stopped on purpose)" if stopped else "")
        super().__init__(text, hint="thrum daemon start")


class DaemonUnreachable(DaemonError):
    """A daemon seems to be there but does not answer."""

    rpc_code = -32032


class Projecting(DaemonError):
    """The daemon is rebuilding its cache from the log and cannot answer this yet.

    Attributes:
        percent: how much is done, 0 … 100.
        what: ``projecting``, or ``indexing`` while only full text is missing.
    """

    rpc_code = -32033

    def __init__(self, percent: int, *, what: str = "projecting") -> None:
        self.percent = percent
        self.what = what
        super().__init__(f"{what} {percent} %", hint="retry in a moment; nothing is lost")


class CacheUnavailable(DaemonError):
    """The daemon could not rebuild its cache, and will try again: what needs the cache is not answered meanwhile.

    Attributes:
        reason: what kept it from it.
    """

    rpc_code = -32038

    def __init__(self, reason: str, *, hint: str = "") -> None:
        self.reason = reason
        super().__init__(
            f"the cache cannot be made, which is tried again: {reason}",
            hint=hint or "nothing is lost; why it failed: thrum daemon logs",
        )


class ShuttingDown(DaemonError):
    """The daemon is draining and takes no new work."""

    rpc_code = -32034

    def __init__(self) -> None:
        super().__init__("daemon is shutting down", hint="retry when it is up again")


class MethodNotFound(ThrumError):
    """No such JSON-RPC method.

    Attributes:
        method: its name.
        provided_by: the distribution that would add it, when known.
        why: why the plugin that is there for it does not give it; empty when none is.
    """

    rpc_code = -32601

    def __init__(self, method: str, *, provided_by: str | None = None, why: str = "") -> None:
        self.method = method
        self.provided_by = provided_by
        self.why = why

    def __str__(self) -> str:
        return f"method '{self.method}' is not registered"

    @property
    def hint(self) -> str:
        if self.why:
            return self.why
        return f"install {self.provided_by} from where this thrum came from" if self.provided_by else ""


class ParamsInvalid(UsageError):
    """Parameters of the wrong shape: missing, of another type, or unknown."""


class Timeout(ThrumError):
    """Something awaited did not happen in its time."""

    rpc_code = -32035


class PluginError(ThrumError):
    """A plugin failed where its answer was needed; the kernel is well.

    Attributes:
        plugin: its name and distribution.
        reason: what it failed with.
    """

    rpc_code = -32037

    def __init__(self, plugin: str, reason: str, *, hint: str = "") -> None:
        self.plugin = plugin
        self.reason = reason
        self._hint = hint

    def __str__(self) -> str:
        return f"plugin {self.plugin} failed: {self.reason}"

    @property
    def hint(self) -> str:
        return self._hint or "thrum plugin list"


class RequestDone(ThrumError):
    """A change was carried out under this request id before; it was not repeated, and its answer is not known now.

    Attributes:
        request_id: the id.
    """

    rpc_code = -32036

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id

    def __str__(self) -> str:
        return f"request {self.request_id} was carried out already"

    @property
    def hint(self) -> str:
        return "nothing was done twice; look at the result before sending it again under a new id"


class RemoteError(ThrumError):
    """An error that came over the wire.

    Attributes:
        rpc_code: the code as received.
        message: the text as received.
        data: whatever came with it; ``data["hint"]`` is shown as the hint.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.rpc_code = code
        self.message = message
        self.data = data
        if isinstance(data, Mapping) and isinstance(data.get("exit_code"), int):
            self.exit_code = data["exit_code"]

    def __str__(self) -> str:
        return self.message

    @property
    def hint(self) -> str:
        if isinstance(self.data, Mapping):
            return str(self.data.get("hint") or "")
        return ""
